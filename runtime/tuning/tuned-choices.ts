/**
 * Puts shapes that tuning found in the place of the standard ones, where this device still gives the
 * same bits with them. Reports what it leaves out.
 */
import type { MatmulShape } from "../../kernels/matmul-shape.ts";
import type { MatmulChoice } from "../../models/graph.ts";
import { type MatrixUse, matrixKey } from "../../models/matrix-use.ts";
import type { Device } from "../device.ts";
import { reasonOf } from "../errors.ts";
import { Comparison, type KernelChoice } from "../select-kernels.ts";
import { bucketOf } from "./candidates.ts";

/** A shape that tuning found for a matrix, for its own kind of row count. */
export interface FoundShape {
  readonly use: MatrixUse;
  readonly shape: MatmulShape;
}

/** @param found Of formats that the choice has. */
export async function withTuned(
  device: Device,
  choice: KernelChoice,
  found: readonly FoundShape[],
): Promise<KernelChoice> {
  const demoted = [...choice.demoted];
  const matmul = new Map(choice.matmul);
  for (const [format, standard] of choice.matmul) {
    const own = found.filter(({ use }) => use.format === format);
    // Where not even the standard shapes agree, one serves all.
    if (!standard.fusesNorm || own.length === 0) continue;
    const compared = new Comparison(device, format, standard.shapes.at(-1)!);
    const sound = new Map(standard.shapes.map((shape) => [shape, true]));
    for (const { shape } of own) {
      if (sound.has(shape)) continue;
      const problem = await problemOf(compared, shape);
      sound.set(shape, problem === undefined);
      if (problem) demoted.push(`matmul.${shape.name}[${format}]: ${problem}`);
    }
    const agreed = own.filter(({ shape }) => sound.get(shape));
    matmul.set(format, { ...standard, tuned: byMatrix(standard, agreed) });
  }
  return { matmul, demoted };
}

async function problemOf(compared: Comparison, shape: MatmulShape): Promise<string | undefined> {
  try {
    return (await compared.agrees(shape)) ? undefined : "other bits than the standard shapes";
  } catch (error) {
    return reasonOf(error);
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
