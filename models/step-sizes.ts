/** Sizes of one step, and what is kept from one step to the next that has the same. */
import type { AttentionWorkDims } from "../kernels/attention-work.ts";

/** Sizes of one step. */
export interface StepSizes {
  /** Token rows. */
  readonly T: number;
  /** Rows that are sampled. */
  readonly R: number;
  /** Attention work by KV group. */
  readonly attention: readonly AttentionWorkDims[];
}

/** Rows a matrix node works on. */
export type RowCount = "T" | "R";

/**
 * For what depends on the numbers of rows alone: the same object as long as they stay the same, as
 * they do from one decode step to the next. Devices know an object again that they have seen.
 */
export function keptWhileSame<V>(make: (step: StepSizes) => V): (step: StepSizes) => V {
  let T = -1;
  let R = -1;
  let made: V;
  return (step) => {
    if (step.T === T && step.R === R) return made;
    made = make(step);
    ({ T, R } = step);
    return made;
  };
}
