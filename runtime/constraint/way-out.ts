/**
 * The fewest tokens to an end along the shortest texts, and masks that never leave them out of reach. Counts over
 * all shortest texts at once, so it is never more than any tokenizer makes of one of them.
 */
import type { Recogniser, State } from "./recogniser.ts";
import type { TokenTrie } from "./token-trie.ts";

/** Above it, where very many bytes lead to an end equally fast, only some are tried: bytes left × nodes of the trie. */
const MAX_WORK = 4e6;
/** So many bytes that any may stand: the inside of a string. */
const MANY_WAYS = 24;
const TRIED_FIRST = Array.from("ax0e ", (char) => char.charCodeAt(0));

export class WayOut {
  readonly #recogniser: Recogniser;
  readonly #trie: TokenTrie;
  readonly #ways = new WeakMap<State, Uint8Array>();

  constructor(recogniser: Recogniser, trie: TokenTrie) {
    this.#recogniser = recogniser;
    this.#trie = trie;
  }

  /**
   * Tokens to an end along a shortest text, an end token not counted. Of the tokens after any state at least
   * one leaves one less. Infinity where the vocabulary cannot write it.
   */
  tokensToEnd(state: State): number {
    const known = state.notes.get(this);
    if (known !== undefined) return known;
    const states = [...this.#towardsEnd(state)].sort((a, b) => a.bytesToEnd - b.bytesToEnd);
    for (const from of states) {
      if (from.notes.has(this)) continue;
      let least = from.bytesToEnd === 0 ? 0 : Number.POSITIVE_INFINITY;
      this.#trie.walk(
        from,
        (at, byte) => (this.#waysOf(at)[byte] === 1 ? this.#recogniser.next(at, byte) : null),
        (_node, to) => {
          least = Math.min(least, 1 + to.notes.get(this)!);
        },
      );
      from.notes.set(this, least);
    }
    return state.notes.get(this)!;
  }

  /** [ceil(V / 32)] all tokens that may follow. Notes on the way how many bytes they may leave to an end. */
  whole(state: State, vocabSize: number): Uint32Array {
    const mask = new Uint32Array(Math.ceil(vocabSize / 32));
    let most = 0;
    this.#trie.follow(state, this.#recogniser, (node, to) => {
      this.#trie.mark(node, mask);
      if (to.bytesToEnd > most) most = to.bytesToEnd;
    });
    state.notes.set(this.#trie, most);
    return mask;
  }

  /** Whether every token of `whole` leaves room for an end: then no mask need be narrowed. */
  isFar(state: State, remaining: number): boolean {
    const most = state.notes.get(this.#trie);
    return most !== undefined && this.#trie.hasAllBytes && most <= remaining - 1;
  }

  /** The tokens after which the text can still be ended by `remaining`, this token counted. */
  narrowed(state: State, remaining: number, vocabSize: number): Uint32Array {
    const mask = new Uint32Array(Math.ceil(vocabSize / 32));
    const { maxDepth, hasAllBytes } = this.#trie;
    const left = remaining - 1;
    this.#trie.follow(state, this.#recogniser, (node, to) => {
      if (to.bytesToEnd > left * maxDepth) return;
      if ((hasAllBytes && to.bytesToEnd <= left) || this.tokensToEnd(to) <= left) {
        this.#trie.mark(node, mask);
      }
    });
    return mask;
  }

  /** All states on the ways that `#waysOf` tries. */
  #towardsEnd(state: State): Set<State> {
    const states = new Set([state]);
    for (const from of states) {
      for (const [byte, isWay] of this.#waysOf(from).entries()) {
        const to = isWay === 1 ? this.#recogniser.next(from, byte)! : undefined;
        if (to && !to.notes.has(this)) states.add(to);
      }
    }
    return states;
  }

  /** [256] 1 for bytes that a shortest text may go on with. Depends on the state alone. */
  #waysOf(state: State): Uint8Array {
    const known = this.#ways.get(state);
    if (known) return known;
    const ways: number[] = [];
    for (let byte = 0; byte < 256; byte++) {
      const to = this.#recogniser.next(state, byte);
      if (to && to.bytesToEnd === state.bytesToEnd - 1) ways.push(byte);
    }
    const isTooMuch = state.bytesToEnd * this.#trie.byte.length > MAX_WORK;
    const flags = new Uint8Array(256);
    for (const byte of ways.length > MANY_WAYS && isTooMuch ? firstOf(ways) : ways) flags[byte] = 1;
    this.#ways.set(state, flags);
    return flags;
  }
}

function firstOf(ways: readonly number[]): readonly number[] {
  const usual = TRIED_FIRST.filter((byte) => ways.includes(byte));
  return usual.length > 0 ? usual : ways.slice(0, TRIED_FIRST.length);
}
