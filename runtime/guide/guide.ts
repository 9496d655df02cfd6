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
  /**
   * Asked behind a `Guidance` that `mayDraft`, before tokens that are guesses are verified at once.
   * @param drafts Guesses of what follows, in order; they are not said.
   * @returns [drafts that fit] of each, in order, what may follow it.
   */
  fitting?(drafts: readonly number[], remaining: number): Promise<readonly Mask[]>;
  /** Of an answer that has ended: what is wrong with it as another judge sees it, undefined for nothing. */
  verify?(): Promise<string | undefined>;
  close(): void;
}

/** Bit i % 32 of word i / 32: token i may be sampled next. Undefined: every one. */
export type Mask = Uint32Array | undefined;

export interface Guidance {
  readonly mask?: Mask;
  /** What follows whatever the model says; only at a pause. */
  readonly given: readonly number[];
  /** Behind these, the tokens that may be sampled before the next pause; infinite where none is needed. */
  readonly pausesIn: number;
  /** Of guesses that follow it can say whether they fit. */
  readonly mayDraft?: boolean;
  /** [drafts that fit] of those that the host has, what may follow each. */
  readonly fitting?: readonly Mask[];
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
