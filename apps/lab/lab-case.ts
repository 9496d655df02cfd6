/** One operation at one size, and the kernels that can do it. Data. */
import type { Dims, Kernel } from "../../kernels/index.ts";
import type { Inputs } from "./contents.ts";

export interface LabCase {
  readonly model: string;
  /** Kernels of one operation in one role do the same work: they are compared. */
  readonly operation: string;
  /** Where a model does it, e.g. `gate_up`. */
  readonly role: string;
  /** T, or R where rows are sampled. */
  readonly rows: number;
  readonly kernels: readonly Kernel[];
  readonly dims: Dims;
  /** Contents that matter, by binding. */
  inputs(): Inputs;
}
