/** The interface between matrix kernels and the ways to cut their grid. */
import type { Dims } from "./kernel.ts";

/** How the grid is cut. `wgsl` calls `weights4` and `finish`, which format and epilogue bring. */
export interface MatmulShape {
  readonly name: "gemv" | "small_m" | "tile";
  readonly maxRows: number;
  wgsl(rowsPerOutput: 1 | 2): string;
  workgroups(dims: Dims): readonly [number, number, number];
  /** Bytes of x and of weight that the WGSL loads; `rows` is the number of weight rows. */
  loads(dims: Dims, rowsPerOutput: 1 | 2): { x: number; weights: number };
}
