/**
 * Follows a text byte by byte through a grammar, and knows from every place the fewest bytes to an end. States
 * are values: the same place reached by two texts is the same state, and its next states are kept, so a second
 * visit costs a look-up. The slow twin of xgrammar's masks, and what finds the way out near an answer's limit.
 *
 * A state is a set of stacks, each of slots to return to; calls at the end of a rule leave nothing on the stack.
 */
import { WeftError } from "../errors.ts";
import { type ByteGrammar, END } from "./byte-grammar.ts";

/** Places looked at for one state: a few for each of a thousand properties that may come next. */
const MAX_STACKS = 20_000;
/** States that are kept; those in use are kept by their users. */
const MAX_STATES = 10_000;
const SLOTS = 2 ** 20;

/** What is to be done after a rule: the slot, and then what is below. Interned. */
interface Stack {
  readonly id: number;
  readonly slot: number;
  readonly below: Stack | undefined;
  /** The fewest bytes until all of it is done. */
  readonly bytes: number;
}

export class State {
  /** Slots before a byte set, each with what is below. */
  readonly tops: readonly { readonly slot: number; readonly stack: Stack | undefined }[];
  readonly mayEnd: boolean;
  /** Of the shortest text to an end; 0 where it may end. */
  readonly bytesToEnd: number;
  /** By byte; null: it may not follow. */
  readonly next: (State | null | undefined)[] = new Array(256);
  /** For those who measure states: by name of the measure. */
  readonly notes = new Map<object, number>();

  constructor(tops: State["tops"], mayEnd: boolean, bytesToEnd: number) {
    this.tops = tops;
    this.mayEnd = mayEnd;
    this.bytesToEnd = bytesToEnd;
  }
}

export class Recogniser {
  readonly start: State;
  readonly #grammar: ByteGrammar;
  #stacks = new Map<number, Stack>();
  #numStacks = 0;
  #states = new Map<string, State>();

  constructor(grammar: ByteGrammar) {
    this.#grammar = grammar;
    this.start = this.#close(
      grammar.alternatives[grammar.root].map((slot) => ({ slot, stack: undefined })),
    );
  }

  /** @throws {WeftError} `bad_request` for a grammar that reads a text in too many ways. */
  next(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const { symbols, sets } = this.#grammar;
    const tops = state.tops.filter(({ slot }) => sets[symbols[slot]][byte] === 1);
    const next =
      tops.length === 0
        ? null
        : this.#close(tops.map(({ slot, stack }) => ({ slot: slot + 1, stack })));
    state.next[byte] = next;
    return next;
  }

  follow(state: State, bytes: Iterable<number>): State | null {
    let at: State | null = state;
    for (const byte of bytes) {
      at = this.next(at, byte);
      if (at === null) return null;
    }
    return at;
  }

  /** Opens rules and returns from them until a byte is next everywhere. */
  #close(kernel: { slot: number; stack: Stack | undefined }[]): State {
    const { symbols, alternatives, bytesToEnd } = this.#grammar;
    const seen = new Set<number>();
    const open = kernel;
    const tops: { slot: number; stack: Stack | undefined }[] = [];
    let mayEnd = false;
    while (open.length > 0) {
      const { slot, stack } = open.pop()!;
      const key = (stack?.id ?? 0) * SLOTS + slot;
      if (seen.has(key)) continue;
      seen.add(key);
      const symbol = symbols[slot];
      if (symbol === END) {
        if (stack === undefined) mayEnd = true;
        else open.push({ slot: stack.slot, stack: stack.below });
      } else if (symbol >= 0) tops.push({ slot, stack });
      else {
        const inner = symbols[slot + 1] === END ? stack : this.#push(slot + 1, stack);
        for (const first of alternatives[-2 - symbol]) open.push({ slot: first, stack: inner });
      }
      if (seen.size > MAX_STACKS) {
        throw new WeftError(
          "bad_request",
          "the grammar reads the same text in too many ways; write it so that fewer rules begin alike",
        );
      }
    }
    const keys = tops.map(({ slot, stack }) => (stack?.id ?? 0) * SLOTS + slot);
    const key = `${mayEnd}${keys.sort((a, b) => a - b)}`;
    const known = this.#states.get(key);
    if (known) return known;
    const bytes = tops.map(({ slot, stack }) => bytesToEnd[slot] + (stack?.bytes ?? 0));
    const state = new State(
      tops,
      mayEnd,
      mayEnd ? 0 : bytes.reduce((a, b) => Math.min(a, b), Infinity),
    );
    this.#states.set(key, state);
    return state;
  }

  #push(slot: number, below: Stack | undefined): Stack {
    const key = (below?.id ?? 0) * SLOTS + slot;
    const known = this.#stacks.get(key);
    if (known) return known;
    const bytes = this.#grammar.bytesToEnd[slot] + (below?.bytes ?? 0);
    const stack = { id: ++this.#numStacks, slot, below, bytes };
    this.#stacks.set(key, stack);
    return stack;
  }

  /** Between walks. Ids go on, so an old state and a new one are never taken for each other. */
  forgetIfMany(): void {
    if (this.#states.size < MAX_STATES) return;
    this.#states = new Map();
    this.#stacks = new Map();
    this.start.next.fill(undefined);
  }
}
