/** What a cache holds for a model's matrices, put in the place of the standard shapes. */
import type { Device } from "../device.ts";
import type { PlacedWeight } from "../placed-weight.ts";
import type { KernelChoice, RotatingMatrices } from "../select-kernels.ts";
import { withTuned } from "./tuned-choices.ts";
import { readRecord, shapeOf, type TuningCache, tuningKey } from "./tuning-cache.ts";

interface Matrices {
  readonly cache: TuningCache;
  readonly matrices: readonly PlacedWeight[];
  readonly qkv?: RotatingMatrices;
}

export async function withFound(
  device: Device,
  standard: KernelChoice,
  { cache, matrices, qkv }: Matrices,
): Promise<KernelChoice> {
  const { info } = device;
  const widths = new Set(matrices.map(({ spec }) => spec.columns));
  const found = readRecord(await cache.read(tuningKey(info)), info)
    .filter(({ K }) => widths.has(K))
    .map((entry) => ({ use: entry, shape: shapeOf(entry)! }));
  return withTuned(device, standard, found, qkv);
}
