/** What a device runs for matrices of each format: runtime/select-kernels.ts finds it out. */
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";

/** Which matrix kernels a graph may use for a format; any of them gives a row the same bits. */
export interface MatmulChoice {
  /** By rising `maxRows`; the last one serves all that are too many for the others. */
  readonly shapes: readonly MatmulShape[];
  /** Whether RMSNorm may run in the prologue of the shapes that have it. */
  readonly fusesNorm: boolean;
  /** Whether a QKV matrix may rotate and write the cache in the epilogue of shapes that have octets. */
  readonly fusesRope: boolean;
  /** Where not these: what multiplies by a stack of experts. */
  readonly experts?: Pick<MatmulChoice, "shapes" | "fusesNorm">;
  /** Other `shapes` for single matrices, by `matrixKey`: what tuning found there. */
  readonly tuned?: ReadonlyMap<string, readonly MatmulShape[]>;
}

export type MatmulChoices = ReadonlyMap<WeightFormatName, MatmulChoice>;
