/** Whose turn it is among those that wait. One file for each order; the queue tells, and asks. */
import type { Sequence } from "../sequence.ts";

export interface Order {
  /** 0 is the most urgent. A sequence that starts keeps the rank that it has then. */
  rankOf(sequence: Sequence, nowMs: number): number;
  next(nowMs: number): Sequence | undefined;
  /** It waits, for the first time or again. */
  waits(sequence: Sequence, nowMs: number): void;
  /** It waits no longer: it starts, or has ended. */
  leaves(sequence: Sequence, nowMs: number): void;
  /**
   * Tokens of its prompt were taken on, for the first time, or samples of it were read. They count as
   * what was executed for them: one by a plan with half of the layers is half a token, and drafts
   * count besides the tokens that were verified.
   */
  charge(sequence: Sequence, tokens: { readonly prompt?: number; readonly sampled?: number }): void;
}
