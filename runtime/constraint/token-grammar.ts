/**
 * One grammar over one vocabulary: what constraints of the same kind share. Masks of places that were visited are
 * kept, so most tokens cost a look-up.
 */
import { ByteGrammar } from "./byte-grammar.ts";
import type { Grammar } from "./grammar.ts";
import { Recogniser, type State } from "./recogniser.ts";
import type { TokenTrie } from "./token-trie.ts";
import { bytesOf, type TokenVocabulary } from "./vocabulary.ts";
import { WayOut } from "./way-out.ts";

/** Kept masks of one grammar, in bytes. */
const MAX_MASK_BYTES = 8 * 2 ** 20;

export class TokenGrammar {
  readonly #vocabulary: TokenVocabulary;
  readonly #recogniser: Recogniser;
  readonly #wayOut: WayOut;
  readonly #masks = new Map<State, Uint32Array>();
  readonly #maxMasks: number;

  /** @throws {WeftError} `bad_request`. */
  constructor(grammar: Grammar, vocabulary: TokenVocabulary, trie: TokenTrie) {
    this.#vocabulary = vocabulary;
    this.#recogniser = new Recogniser(new ByteGrammar(grammar));
    this.#wayOut = new WayOut(this.#recogniser, trie);
    this.#maxMasks = Math.max(16, Math.floor(MAX_MASK_BYTES / (vocabulary.vocabSize / 8)));
  }

  get start(): State {
    this.#recogniser.forgetIfMany();
    return this.#recogniser.start;
  }

  /** The state after a token; null where it may not come next. End tokens lead nowhere. */
  next(state: State, id: number): State | null {
    const bytes = bytesOf(this.#vocabulary, id);
    return bytes.length === 0 ? null : this.#recogniser.follow(state, bytes);
  }

  /**
   * [ceil(V / 32)] what may be said next with `remaining` tokens to go. Where the text can no longer be completed,
   * all that the grammar allows.
   */
  mask(state: State, remaining: number): Uint32Array {
    const whole = this.#whole(state);
    if (this.#wayOut.isFar(state, remaining) || this.tokensToEnd(state) > remaining) return whole;
    const mask = this.#wayOut.narrowed(state, remaining, this.#vocabulary.vocabSize);
    return this.#withEnds(mask, state);
  }

  /** The fewest tokens to an end along a shortest text. */
  tokensToEnd(state: State): number {
    return this.#wayOut.tokensToEnd(state);
  }

  /** Bytes that must come next, as far as there is no other way; the text may not end before. */
  forcedBytes(state: State): Uint8Array {
    const bytes: number[] = [];
    for (let at = state; !at.mayEnd; ) {
      const only = this.#onlyByte(at);
      if (only === undefined) break;
      bytes.push(only);
      at = this.#recogniser.next(at, only)!;
    }
    return Uint8Array.from(bytes);
  }

  /** No byte may follow. */
  mustEnd(state: State): boolean {
    return state.tops.length === 0;
  }

  #onlyByte(state: State): number | undefined {
    let only: number | undefined;
    for (let byte = 0; byte < 256; byte++) {
      if (!this.#recogniser.next(state, byte)) continue;
      if (only !== undefined) return undefined;
      only = byte;
    }
    return only;
  }

  #whole(state: State): Uint32Array {
    const known = this.#masks.get(state);
    if (known) return known;
    const mask = this.#withEnds(this.#wayOut.whole(state, this.#vocabulary.vocabSize), state);
    if (this.#masks.size >= this.#maxMasks) this.#masks.clear();
    this.#masks.set(state, mask);
    return mask;
  }

  #withEnds(mask: Uint32Array, { mayEnd }: State): Uint32Array {
    if (mayEnd) for (const id of this.#vocabulary.endTokenIds) mask[id >> 5] |= 1 << (id & 31);
    return mask;
  }
}
