/**
 * Drafts that cost no model: what followed the last few tokens when they stood in the sequence before.
 * Right where an answer repeats its prompt: code that is edited, text that is quoted, JSON.
 * @see Yang et al., "Inference with Reference", arXiv:2304.04487; Saxena, "Prompt Lookup Decoding", 2023.
 */
import { assert } from "../assert.ts";

/** Ids are below it, so that two of them make one exact number. */
const MAX_ID = 2 ** 26;

/**
 * The last place of every pair and triple of tokens, kept as the sequence grows: two entries for a token,
 * and a proposal costs what its length is. A single token says too little of what follows.
 */
export class PromptLookup {
  readonly #ids: number[] = [];
  /** Pair of ids to its number, counted from 0; triples are made of it and a third id. */
  readonly #pairs = new Map<number, number>();
  /** By number of the pair: the position behind its last occurrence that has one. */
  readonly #afterPair: number[] = [];
  readonly #afterTriple = new Map<number, number>();
  /** Of the last two tokens, and of the two before the last; -1 where there are none. */
  #pair = -1;
  #pairBefore = -1;

  get numTokens(): number {
    return this.#ids.length;
  }

  /** The sequence goes on with that token. */
  push(id: number): void {
    assert(id >= 0 && id < MAX_ID, `token id ${id}`);
    const position = this.#ids.length;
    // Only now does something follow what has ended with the token before.
    if (this.#pair >= 0) this.#afterPair[this.#pair] = position;
    if (this.#pairBefore >= 0) this.#afterTriple.set(this.#tripleKey(), position);
    this.#ids.push(id);
    this.#pairBefore = this.#pair;
    this.#pair = position === 0 ? -1 : this.#pairOf(this.#ids[position - 1], id);
  }

  /**
   * What followed the last three tokens when they last occurred, or else the last two; empty where
   * neither did. Where that reaches the sequence's end it goes on with itself, as a repetition does.
   *
   * @param max Tokens to propose.
   */
  propose(max: number): number[] {
    const from =
      (this.#pairBefore >= 0 ? this.#afterTriple.get(this.#tripleKey()) : undefined) ??
      this.#afterPair[this.#pair];
    if (from === undefined) return [];
    const period = this.#ids.length - from;
    return Array.from({ length: max }, (_, i) => this.#ids[from + (i % period)]);
  }

  #tripleKey(): number {
    return this.#pairBefore * MAX_ID + this.#ids[this.#ids.length - 1];
  }

  #pairOf(first: number, second: number): number {
    const key = first * MAX_ID + second;
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = this.#pairs.size;
      this.#pairs.set(key, pair);
    }
    return pair;
  }
}
