/** The interface between matrix kernels and the ways to cut their grid. */
import type { Dims } from "./kernel.ts";
import type { Prologue } from "./prologue.ts";

/** How the grid is cut. `wgsl` calls `prepare`, `x4`, `weights4` and `finish`: prologue, format, epilogue. */
export interface MatmulShape {
  readonly name: "gemv" | `gemv_subgroup${SubgroupSize}` | "small_m" | "tile";
  readonly maxRows: number;
  /** Rows of x that one workgroup multiplies. */
  readonly rowsPerGroup: number;
  /** What x may go through first; `norm` is done anew in each workgroup, so only few rows bear it. */
  readonly prologues: readonly Prologue[];
  readonly features: readonly "subgroups"[];
  wgsl(rowsPerOutput: 1 | 2): string;
  workgroups(dims: Dims): readonly [number, number, number];
  /** Values of x and of weight that the multiplication loads, re-reads included. */
  loads(dims: Dims, rowsPerOutput: 1 | 2): { x: number; weights: number };
}

/** Lanes of a subgroup that there is a shape for. */
export type SubgroupSize = 8 | 16 | 32 | 64;
