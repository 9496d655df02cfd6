/** A matrix as kernels see it, and its name: what decides which shape multiplies it fastest. */
import type { WeightFormatName } from "../kernels/weight-format.ts";

export interface MatrixUse {
  readonly format: WeightFormatName;
  /** Outputs: of a gated matrix half its rows. */
  readonly N: number;
  readonly K: number;
  readonly gated: boolean;
  /** Whether RMSNorm comes before it. */
  readonly norm: boolean;
  /** Whether few rows are finished eight outputs at a time: a QKV matrix that also rotates. */
  readonly octets: boolean;
}

/** `matrixKey(…)` is `q4_0 3072x1024 norm gated`. */
export const matrixKey = ({ format, N, K, gated, norm, octets }: MatrixUse): string =>
  `${format} ${N}x${K}${norm ? " norm" : ""}${gated ? " gated" : ""}${octets ? " octets" : ""}`;
