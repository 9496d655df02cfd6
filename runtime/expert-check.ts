/**
 * Whether all ways to multiply by a stack of experts give, on this device, the same bits: slot by slot
 * with the norm fused or apart, and in blocks of slots. A prompt and its answer may take either.
 */
import { blockCapacity, groupSlots } from "../kernels/expert-blocks.ts";
import { matmulKernel } from "../kernels/matmul-kernel.ts";
import { rowsFor } from "../kernels/matmul-rows.ts";
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import { normal, seededRandom, uniform } from "../kernels/probe.ts";
import { rmsNorm } from "../kernels/rms-norm.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";
import type { MatmulChoice } from "../models/matmul-choice.ts";
import { bytesToFloats, type Device } from "./device.ts";
import { runProbe } from "./probe-runner.ts";

const EPS = 1e-5;
const EXPERTS = 3;
/** Of each slot, which is a row of its own. */
const IDS = Uint32Array.of(2, 0, 1, 2, 2, 0, 2);
const S = IDS.length;
/** Whole blocks of every format, and more chunks than a workgroup has lanes. */
const SIZES = { N: 40, K: 1280, out_stride: 40, out_offset: 0 } as const;
const STORE = { bias: false, tail: "store" } as const;

/** @returns Names of those whose bits are not those of the last shape after `rms_norm`. */
export async function otherExpertShapes(
  device: Device,
  format: WeightFormatName,
  { shapes, fusesNorm }: Pick<MatmulChoice, "shapes" | "fusesNorm">,
): Promise<string[]> {
  const { N, K } = SIZES;
  const random = seededRandom(5);
  const weight = normal(EXPERTS * N * K, random, 1 / Math.sqrt(K));
  const norm_weight = uniform(K, 0.5, 1.5, random);
  const x = normal(S * K, random);
  const norm = await runProbe(device, rmsNorm, {
    dims: { T: S, D: K, eps: EPS },
    inputs: () => ({ x, weight: norm_weight }),
  });
  const normed = bytesToFloats(norm.outputs.out);

  const product = async (shape: MatmulShape, prologue: "none" | "norm") => {
    const rows = rowsFor(shape);
    const kernel = matmulKernel({ format, shape, prologue, epilogue: STORE, rows });
    const placed = rows === "slots" ? bySlot : inBlocks(shape.rowsPerGroup);
    const given: Record<string, Float32Array> =
      prologue === "norm" ? { x, norm_weight } : { x: normed };
    const { outputs } = await runProbe(device, kernel, {
      dims: { ...SIZES, ...STACK, ...placed.dims, eps: EPS },
      inputs: () => ({ ...given, weight, ...placed.inputs }),
    });
    return { name: kernel.name, bytes: outputs.out };
  };
  const expected = await product(shapes.at(-1)!, "none");
  const others: string[] = [];
  for (const shape of shapes) {
    const isFused = fusesNorm && rowsFor(shape) === "slots" && shape.prologues.includes("norm");
    for (const prologue of isFused ? (["none", "norm"] as const) : (["none"] as const)) {
      const { name, bytes } = await product(shape, prologue);
      if (bytes.some((byte, i) => byte !== expected.bytes[i])) others.push(name);
    }
  }
  return others;
}

const STACK = {
  ...{ T: S, experts: EXPERTS, first_expert: 0, slots_per_x: 1, x_rows: S, own_slots: S },
} as const;

interface Placed {
  readonly dims: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, Uint32Array>>;
}

const bySlot: Placed = { dims: {}, inputs: { expert_ids: IDS } };

function inBlocks(block_rows: number): Placed {
  const num_blocks = blockCapacity(S, EXPERTS, block_rows);
  const places = new Uint32Array(num_blocks * block_rows);
  const blocks = new Uint32Array(2 * num_blocks);
  groupSlots(IDS, EXPERTS, block_rows, { places, blocks });
  const dims = { num_blocks, places: places.length, used_blocks: num_blocks };
  return { dims, inputs: { places, blocks } };
}
