/**
 * Stop strings in a text that comes in pieces. Owns holding back what may become a stop. The result
 * does not depend on how the text is cut: the stop that is complete first wins.
 */
import { WeftError } from "../errors.ts";

export class StopMatcher {
  readonly #stops: readonly Automaton[];
  #held = "";
  #matched: string | undefined;

  /** @throws {WeftError} `bad_request` for an empty stop string. */
  constructor(stops: readonly string[]) {
    if (stops.includes("")) {
      throw new WeftError(
        "bad_request",
        "a stop string is empty, it needs one character or more; leave it out",
      );
    }
    this.#stops = stops.map((stop) => new Automaton(stop));
  }

  /** The stop that was found; of two that end together, the longer. */
  get matched(): string | undefined {
    return this.#matched;
  }

  /** Text that belongs to no stop; after a match, always empty. */
  push(text: string): string {
    if (this.#matched !== undefined) return "";
    const all = this.#held + text;
    for (let i = this.#held.length; i < all.length; i++) {
      let found: string | undefined;
      for (const automaton of this.#stops) {
        const { stop } = automaton;
        if (automaton.advance(all[i]) && stop.length > (found?.length ?? 0)) found = stop;
      }
      if (found !== undefined) {
        this.#matched = found;
        this.#held = "";
        return all.slice(0, i + 1 - found.length);
      }
    }
    const held = Math.max(0, ...this.#stops.map(({ matchedLength }) => matchedLength));
    this.#held = all.slice(all.length - held);
    return all.slice(0, all.length - held);
  }

  /** The text has ended: what was held back is no stop. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** Knuth, Morris and Pratt: the longest start of `stop` that the text ends with. */
class Automaton {
  readonly stop: string;
  matchedLength = 0;
  /** By matched length: the next shorter start that also ends there. */
  readonly #fallback: Uint32Array;

  constructor(stop: string) {
    this.stop = stop;
    this.#fallback = new Uint32Array(stop.length + 1);
    for (let i = 1, length = 0; i < stop.length; i++) {
      while (length > 0 && stop[i] !== stop[length]) length = this.#fallback[length];
      if (stop[i] === stop[length]) length++;
      this.#fallback[i + 1] = length;
    }
  }

  /** @returns Whether the text now ends with the stop. */
  advance(char: string): boolean {
    const { stop } = this;
    let length = this.matchedLength;
    while (length > 0 && stop[length] !== char) length = this.#fallback[length];
    if (stop[length] === char) length++;
    this.matchedLength = length;
    return length === stop.length;
  }
}
