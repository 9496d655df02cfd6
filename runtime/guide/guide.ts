/**
 * What decides, while an answer is made, what it may say next: a grammar, or the end of thinking. The step
 * loop asks it at its pauses and between them tells it what was said; it knows neither slots nor plans.
 */

/** Of one answer. */
export interface Guide {
  /**
   * Asked once before the first token, with none, and then with each that was said, in order.
   * @param remaining Tokens that may still be said, one that ends the answer not counted.
   * @returns Undefined where what it said last holds on; never at a pause.
   * @throws {WeftError} When it cannot go on.
   */
  next(tokenIds: readonly number[], remaining: number): Promise<Guidance> | undefined;
  /** Of an answer that has ended: what is wrong with it as another judge sees it, undefined for nothing. */
  verify?(): Promise<string | undefined>;
  close(): void;
}

export interface Guidance {
  /** Bit i % 32 of word i / 32: token i may be sampled next. Undefined: every one. */
  readonly mask?: Uint32Array;
  /** What follows whatever the model says; only at a pause. */
  readonly given: readonly number[];
  /** Behind these, the tokens that may be sampled before the next pause; infinite where none is needed. */
  readonly pausesIn: number;
  /** Nothing may follow. */
  readonly mustEnd: boolean;
  /** Cut here, the answer is whole all the same. */
  readonly isWhole: boolean;
}

/** Anything may follow, and nobody needs to know. */
export const FREE: Guidance = {
  given: [],
  pausesIn: Number.POSITIVE_INFINITY,
  mustEnd: false,
  isWhole: false,
};
