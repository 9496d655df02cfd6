/** One answer on its way through a grammar, in the worker: where it is, what it may say next, what it must. */
import { WeftError } from "../errors.ts";
import { MIN_FORCED_BYTES } from "./forced-tokens.ts";
import type { State } from "./recogniser.ts";
import type { TokenGrammar } from "./token-grammar.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

/** `Allowed`, with the text that must come next in place of its tokens: those are the tokenizer's to say. */
export interface Answered {
  readonly masks: readonly Uint32Array[];
  readonly forcedBytes: Uint8Array;
  readonly mayEnd: boolean;
  readonly mustEnd: boolean;
}

export class LiveConstraint {
  readonly #grammar: TokenGrammar;
  readonly #vocabulary: TokenVocabulary;
  #state: State;
  #hasEnded = false;

  /** @param said Tokens so far, of an answer that goes on here. @throws {WeftError} `bad_request`. */
  constructor(grammar: TokenGrammar, vocabulary: TokenVocabulary, said: readonly number[]) {
    this.#grammar = grammar;
    this.#vocabulary = vocabulary;
    this.#state = grammar.start;
    this.#take(said);
  }

  advance(tokens: readonly number[], remaining: number, drafts: readonly number[]): Answered {
    this.#take(tokens);
    const grammar = this.#grammar;
    let state = this.#state;
    const { mayEnd } = state;
    const mustEnd = this.#hasEnded || grammar.mustEnd(state);
    const masks = [this.#hasEnded ? this.#ends() : grammar.mask(state, remaining)];
    for (const [i, id] of drafts.entries()) {
      const left = remaining - i - 1;
      const next = isSet(masks[i], id) ? grammar.next(state, id) : null;
      if (next === null || left < 0 || !this.#isSampled(next, left)) break;
      state = next;
      masks.push(grammar.mask(state, left));
    }
    return { masks, forcedBytes: this.#forced(this.#state, remaining), mayEnd, mustEnd };
  }

  /** What follows is neither forced nor nothing: with drafts, too, a model is asked only where it would be without. */
  #isSampled(state: State, remaining: number): boolean {
    const isForced = this.#forced(state, remaining).length >= MIN_FORCED_BYTES;
    return !isForced && !this.#grammar.mustEnd(state);
  }

  /** Nothing is forced where tokens are scarce: a text can be written with more of them than it needs. */
  #forced(state: State, remaining: number): Uint8Array {
    const isScarce = state.bytesToEnd > remaining;
    return this.#hasEnded || isScarce ? new Uint8Array(0) : this.#grammar.forcedBytes(state);
  }

  #take(tokens: readonly number[]): void {
    for (const id of tokens) {
      if (this.#vocabulary.endTokenIds.includes(id) && this.#state.mayEnd) {
        this.#hasEnded = true;
        continue;
      }
      const next = this.#hasEnded ? null : this.#grammar.next(this.#state, id);
      if (next === null) {
        throw new WeftError(
          "bad_request",
          `token ${id} does not fit the constraint; say only what the last mask allowed`,
        );
      }
      this.#state = next;
    }
  }

  #ends(): Uint32Array {
    const mask = new Uint32Array(Math.ceil(this.#vocabulary.vocabSize / 32));
    for (const id of this.#vocabulary.endTokenIds) mask[id >> 5] |= 1 << (id & 31);
    return mask;
  }
}

const isSet = (mask: Uint32Array, id: number) => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
