/**
 * Regular expressions, as JavaScript and JSON Schema write them, as grammars of the texts that match as a whole.
 * Refuses what looks around or back: (?= (?! (?<= (?<!, \b, \1, and anchors inside; flags and \p{…}.
 */
import { WeftError } from "../errors.ts";
import {
  ALL_CHARS,
  type CharRanges,
  choice,
  type Expr,
  except,
  ranges,
  repeat,
  sequence,
} from "./grammar.ts";

const MAX_REPEAT = 10_000;
const MAX_DEPTH = 100;

const DIGITS: CharRanges = [[0x30, 0x39]];
const WORD = ranges([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const SPACE = ranges([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const NOT_DOT = ranges([
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
]);
const SETS: Readonly<Record<string, CharRanges>> = {
  d: DIGITS,
  D: except(DIGITS),
  w: WORD,
  W: except(WORD),
  s: SPACE,
  S: except(SPACE),
};
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, 0: 0 };

export interface RegexOptions {
  /** Like `RegExp.test` and JSON Schema's `pattern`: the match may be anywhere, unless it is anchored. */
  readonly isSearch: boolean;
  /** How a set of characters is written, e.g. escaped inside JSON strings. */
  readonly write: (ranges: CharRanges) => Expr;
  /** Where it stands, for messages. */
  readonly where: string;
}

/** @throws {WeftError} `bad_request` that says which part. */
export function parseRegex(pattern: string, options: RegexOptions): Expr {
  return new RegexParser(pattern, options).parse();
}

class RegexParser {
  readonly #chars: readonly string[];
  readonly #options: RegexOptions;
  #at = 0;
  #depth = 0;

  constructor(pattern: string, options: RegexOptions) {
    this.#chars = Array.from(pattern);
    this.#options = options;
  }

  parse(): Expr {
    const whole = this.#alternatives();
    if (this.#at < this.#chars.length) throw this.#refusal('")" closes nothing');
    return whole;
  }

  /** Anchors stand at the ends of the alternatives of the whole, where they may. */
  #alternatives(): Expr {
    const options = [this.#alternative()];
    while (this.#takes("|")) options.push(this.#alternative());
    return choice(...options);
  }

  #alternative(): Expr {
    const isOuter = this.#depth === 0;
    const parts: Expr[] = [];
    const anywhere = repeat(this.#options.write(ALL_CHARS), 0);
    const isAnchored = isOuter && this.#takes("^");
    if (isOuter && this.#options.isSearch && !isAnchored) parts.push(anywhere);
    let isClosed = false;
    while (this.#at < this.#chars.length && !"|)".includes(this.#chars[this.#at])) {
      if (isOuter && this.#chars[this.#at] === "$") {
        this.#at++;
        isClosed = true;
        if (this.#at < this.#chars.length && this.#chars[this.#at] !== "|") {
          throw this.#refusal("an anchor ($) in the middle");
        }
      } else parts.push(this.#quantified(this.#atom()));
    }
    if (isOuter && this.#options.isSearch && !isClosed) parts.push(anywhere);
    return sequence(...parts);
  }

  #quantified(atom: Expr): Expr {
    const [min, max] = this.#quantifier() ?? [1, 1];
    if (min === 1 && max === 1) return atom;
    // A lazy quantifier matches the same texts.
    this.#takes("?");
    if (this.#takes("+")) throw this.#refusal("a possessive quantifier");
    if (max !== undefined && max < min)
      throw this.#refusal(`{${min},${max}} is in the wrong order`);
    if (Math.max(min, max ?? 0) > MAX_REPEAT) {
      throw this.#refusal(`more than ${MAX_REPEAT} repetitions`);
    }
    return repeat(atom, min, max);
  }

  #quantifier(): [number, number | undefined] | undefined {
    if (this.#takes("*")) return [0, undefined];
    if (this.#takes("+")) return [1, undefined];
    if (this.#takes("?")) return [0, 1];
    const braces = /^\{(\d{1,6})(,(\d{1,6})?)?\}/.exec(this.#ahead(20));
    if (!braces) return undefined;
    this.#at += braces[0].length;
    const [, min, comma, max] = braces;
    return [Number(min), comma === undefined ? Number(min) : max ? Number(max) : undefined];
  }

  #atom(): Expr {
    const char = this.#chars[this.#at++];
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return this.#options.write(this.#charClass());
      case ".":
        return this.#options.write(except(NOT_DOT));
      case "\\":
        return this.#options.write(this.#escape());
      case "^":
      case "$":
        throw this.#refusal(`an anchor (${char}) in the middle`);
      case "*":
      case "+":
      case "?":
        throw this.#refusal(`"${char}" has nothing to repeat`);
      default:
        return this.#options.write(one(char.codePointAt(0)!));
    }
  }

  #group(): Expr {
    if (this.#takes("?")) {
      if (!this.#takes(":")) {
        const name = /^(?:P?<)([A-Za-z_]\w*)>/.exec(this.#ahead(80))?.[0];
        if (name === undefined)
          throw this.#refusal(`(?${this.#ahead(2)}…), which looks around or sets flags`);
        this.#at += name.length;
      }
    }
    if (++this.#depth > MAX_DEPTH)
      throw this.#refusal(`more than ${MAX_DEPTH} groups in each other`);
    const inside = this.#alternatives();
    this.#depth--;
    if (!this.#takes(")")) throw this.#refusal('a "(" that is not closed');
    return inside;
  }

  #charClass(): CharRanges {
    const isNegated = this.#takes("^");
    const parts: (readonly [number, number])[] = [];
    for (let isFirst = true; ; isFirst = false) {
      if (this.#at >= this.#chars.length) throw this.#refusal('a "[" that is not closed');
      // JavaScript's empty class; others would take this bracket for a member.
      if (this.#takes("]")) {
        if (isFirst) throw this.#refusal("an empty set of characters");
        break;
      }
      const from = this.#classMember();
      const isRange = this.#chars[this.#at] === "-" && this.#chars[this.#at + 1] !== "]";
      if (!isRange) {
        parts.push(...from);
        continue;
      }
      this.#at++;
      const to = this.#classMember();
      const [[first], [last]] = [from[0], to[0]];
      if (from.length !== 1 || to.length !== 1 || from[0][0] !== from[0][1] || last < first) {
        throw this.#refusal("a range of characters that is none");
      }
      parts.push([first, last]);
    }
    return isNegated ? except(ranges(parts)) : ranges(parts);
  }

  #classMember(): CharRanges {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw this.#refusal('a "[" that is not closed');
    if (char === "\\") return this.#takes("b") ? one(8) : this.#escape();
    return one(char.codePointAt(0)!);
  }

  #escape(): CharRanges {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw this.#refusal('a "\\" at the end');
    if (Object.hasOwn(SETS, char)) return SETS[char];
    if (Object.hasOwn(CONTROLS, char) && !/\d/.test(this.#ahead(char === "0" ? 1 : 0))) {
      return one(CONTROLS[char]);
    }
    const hex = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\})/.exec(
      char + this.#ahead(9),
    );
    if (hex) {
      this.#at += hex[0].length - 1;
      const code = Number.parseInt(hex[1] ?? hex[2] ?? hex[3], 16);
      if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        throw this.#refusal("half of a surrogate pair, or no character");
      }
      return one(code);
    }
    if (/[A-Za-z0-9]/.test(char)) throw this.#refusal(`\\${char}`);
    return one(char.codePointAt(0)!);
  }

  #takes(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #ahead(length: number): string {
    return this.#chars.slice(this.#at, this.#at + length).join("");
  }

  #refusal(what: string): WeftError {
    return new WeftError(
      "bad_request",
      `${this.#options.where}: the regular expression ${shown(this.#chars.join(""))} has ${what}, at ` +
        `character ${this.#at}; write it with literals, sets, groups, | and repetitions alone`,
    );
  }
}

const one = (code: number): CharRanges => [[code, code]];
const shown = (pattern: string) =>
  JSON.stringify(pattern.length > 60 ? `${pattern.slice(0, 60)}…` : pattern);
