/** The interface between matrix kernels and the ways to cut their grid. */
import type { WeightFormat } from "./formats/format.ts";
import type { Dims } from "./kernel.ts";
import type { MatmulRows } from "./matmul-rows.ts";
import type { Prologue } from "./prologue.ts";

/** The weights of a matrix kernel: `rowsPerOutput`·N rows of a format. */
export interface MatmulWeights {
  readonly format: WeightFormat;
  readonly rowsPerOutput: 1 | 2;
  /** The epilogue takes eight outputs at a time; N is then a multiple of eight. */
  readonly octets: boolean;
  readonly rows: MatmulRows;
}

/** Behind `open_rows`: a workgroup of a stack of experts may have nothing to do. */
export const leaveWgsl = ({ rows }: MatmulWeights): string =>
  rows === "all" ? "" : "if (num_rows == 0u) { return; }";

/**
 * How the grid is cut. `wgsl` calls `open_rows` of the rows, `prepare` and `x4` of the prologue, `open_chunk` and `take4` of
 * the format, `weight_row` and `finish` of the epilogue, and says where the format finds its fields.
 */
export interface MatmulShape {
  readonly name: MatmulShapeName;
  /**
   * Whether sums are taken as it suits the shape, not chunk by chunk. Such shapes differ from each
   * other in the last bits, so a batch changes what its requests get.
   */
  readonly anyOrder: boolean;
  /** What x is rounded to before it is multiplied, where not f32: a numeric class of its own. */
  readonly activations?: "i8";
  readonly maxRows: number;
  /** Of a workgroup. */
  readonly lanes: number;
  /** Rows of x that one workgroup multiplies. */
  readonly rowsPerGroup: number;
  /** What x may go through first; `norm` is done anew in each workgroup, so only few rows bear it. */
  readonly prologues: readonly Prologue[];
  /** Whether eight outputs in a row meet in a workgroup, for epilogues that need them after a norm. */
  readonly hasOctets: boolean;
  readonly features: readonly "subgroups"[];
  wgsl(weights: MatmulWeights): string;
  workgroups(dims: Dims, weights: MatmulWeights): readonly [number, number, number];
  /** Workgroup memory, the prologue's aside; infinite where the shape cannot take such weights. */
  workgroupBytes(weights: MatmulWeights): number;
  /** Values of x and bytes of the weight that the multiplication loads, re-reads included. */
  loads(dims: Dims, weights: MatmulWeights): { x: number; weightBytes: number };
}

/** Workgroup memory that every WebGPU device has; more would fit some, and leave room for fewer groups. */
export const MAX_WORKGROUP_BYTES = 16_384;

export type MatmulShapeName =
  | ChunkedShapeName
  | `${ChunkedShapeName}_any`
  | `${"gemv" | "small_m" | "tile"}_int8`;

/** Shapes of other sizes than the portable ones say theirs (matmul-variants.ts). */
type ChunkedShapeName =
  | ("gemv" | "small_m" | "tile")
  | (`gemv_subgroup${SubgroupSize}` | `${"gemv" | "small_m" | "tile"}_broadcast${4 | 8}`)
  | `gemv_${number}x${number}x${number}`
  | `small_m${number}_${number}x${number}x${number}`
  | `tile_${number}x${number}_${number}x${number}`;

/** Lanes of a subgroup that there is a shape for. */
export type SubgroupSize = 8 | 16 | 32 | 64;
