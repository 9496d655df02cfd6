/**
 * Puts shapes that tuning found in the place of the standard ones, where this device still gives the
 * same bits with them. Reports what it leaves out.
 */
import type { MatmulShape } from "../../kernels/matmul-shape.ts";
import type { RotatingEpilogue } from "../../kernels/rope-kv-epilogue.ts";
import type { WeightFormatName } from "../../kernels/weight-format.ts";
import type { MatmulChoice } from "../../models/matmul-choice.ts";
import { type MatrixUse, matrixKey } from "../../models/matrix-use.ts";
import type { Device } from "../device.ts";
import { reasonOf } from "../errors.ts";
import { otherRotations } from "../rotation-check.ts";
import { Comparison, type KernelChoice, type RotatingMatrices } from "../select-kernels.ts";
import { bucketOf } from "./row-bucket.ts";

/** A shape that tuning found for a matrix, for its own kind of row count. */
export interface FoundShape {
  readonly use: MatrixUse;
  readonly shape: MatmulShape;
}

/**
 * @param found Of formats that the choice has.
 * @param qkv As in `selectKernels`.
 */
export async function withTuned(
  device: Device,
  choice: KernelChoice,
  found: readonly FoundShape[],
  qkv?: RotatingMatrices,
): Promise<KernelChoice> {
  const demoted = [...choice.demoted];
  const matmul = new Map(choice.matmul);
  for (const [format, standard] of choice.matmul) {
    const own = found.filter(({ use }) => use.format === format);
    // Where not even the standard shapes agree, one serves all.
    if (!standard.fusesNorm || own.length === 0) continue;
    const trial = new Trial(device, format, standard, qkv?.epilogue);
    const agreed: FoundShape[] = [];
    for (const one of own) {
      const problem = await trial.problemOf(one);
      if (problem === undefined) agreed.push(one);
      else demoted.push(`matmul.${one.shape.name}[${format}]: ${problem}`);
    }
    matmul.set(format, { ...standard, tuned: byMatrix(standard, agreed) });
  }
  return { ...choice, matmul, demoted };
}

/** Each shape of a format runs once, and once more where its matrix rotates. */
class Trial {
  readonly #problems = new Map<string, Promise<string | undefined>>();
  readonly #run: (found: FoundShape) => Promise<string | undefined>;

  constructor(
    device: Device,
    format: WeightFormatName,
    { shapes, fusesRope }: MatmulChoice,
    epilogue: RotatingEpilogue | undefined,
  ) {
    const last = shapes.at(-1)!;
    const compared = new Comparison(device, format, last);
    this.#run = async ({ use, shape }) => {
      if (shapes.includes(shape)) return undefined;
      if (!(await compared.agrees(shape))) return "other bits than the standard shapes";
      if (!use.octets || !fusesRope || !epilogue) return undefined;
      const others = await otherRotations(device, format, [shape, last], epilogue);
      return others.length > 0 ? "other bits than rope_kv_write after the matrix" : undefined;
    };
  }

  problemOf(found: FoundShape): Promise<string | undefined> {
    const key = `${found.shape.name} ${found.use.octets}`;
    const known = this.#problems.get(key) ?? this.#run(found).catch(reasonOf);
    this.#problems.set(key, known);
    return known;
  }
}

function byMatrix({ shapes }: MatmulChoice, found: readonly FoundShape[]) {
  const tuned = new Map<string, readonly MatmulShape[]>();
  for (const { use, shape } of found) {
    const key = matrixKey(use);
    const before = tuned.get(key) ?? shapes;
    tuned.set(
      key,
      before.map((other) => (bucketOf(other) === bucketOf(shape) ? shape : other)),
    );
  }
  return tuned;
}
