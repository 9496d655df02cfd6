/**
 * EBNF as xgrammar and llama.cpp (GBNF) write it: `name ::= …`, texts, sets, groups, | * + ? {m,n}, # comments.
 * Lookahead assertions, which only make xgrammar faster, are read over. Refuses the rest, and says where.
 */
import { WeftError } from "../errors.ts";
import {
  ALL_CHARS,
  choice,
  type Expr,
  except,
  type Grammar,
  ranges,
  repeat,
  rule,
  sequence,
  text,
} from "./grammar.ts";

const MAX_LENGTH = 200_000;
const MAX_DEPTH = 100;
const MAX_REPEAT = 10_000;
const NAME = /[A-Za-z_][\w.-]*/y;
const RULE_START = /[A-Za-z_][\w.-]*[ \t]*::=/y;
const SIMPLE: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  0: "\0",
  f: "\f",
  b: "\b",
  v: "\v",
};

/** @throws {WeftError} `bad_request` that names the line and column. */
export function parseEbnf(source: string): Grammar {
  return new EbnfParser(source).parse();
}

class EbnfParser {
  readonly #source: string;
  readonly #rules = new Map<string, Expr>();
  /** Names that are used, and where first. */
  readonly #used = new Map<string, number>();
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Grammar {
    if (this.#source.length > MAX_LENGTH) {
      throw this.#refusal(`it has more than ${MAX_LENGTH} characters`);
    }
    this.#skip();
    while (this.#at < this.#source.length) {
      const name = this.#match(NAME) ?? this.#expected("the name of a rule");
      this.#skip();
      if (!this.#takes("::=")) throw this.#refusal('"::=" is expected');
      if (this.#rules.has(name)) throw this.#refusal(`rule ${name} is there twice`);
      this.#rules.set(name, this.#choice());
      // Only a hint to xgrammar: it changes no text.
      if (this.#takes("(=")) this.#lookahead();
      this.#skip();
    }
    if (!this.#rules.has("root")) throw this.#refusal("there is no rule root");
    for (const [name, at] of this.#used) {
      this.#at = at;
      if (!this.#rules.has(name)) throw this.#refusal(`rule ${name} is not there`);
    }
    return { rules: this.#rules };
  }

  #choice(): Expr {
    const options = [this.#sequence()];
    while (this.#takes("|")) options.push(this.#sequence());
    return choice(...options);
  }

  #sequence(): Expr {
    const parts: Expr[] = [];
    for (;;) {
      this.#skip();
      const next = this.#source[this.#at];
      if (next === undefined || next === "|" || next === ")" || this.#isAt("(=")) break;
      // The next rule begins where this one ends.
      RULE_START.lastIndex = this.#at;
      if (this.#depth === 0 && RULE_START.test(this.#source)) break;
      parts.push(this.#repeated(this.#element()));
    }
    return sequence(...parts);
  }

  #element(): Expr {
    if (this.#takes('"')) return this.#text('"');
    if (this.#takes("'")) return this.#text("'");
    if (this.#takes("[")) return this.#set();
    if (this.#takes(".")) return { kind: "chars", ranges: ALL_CHARS };
    if (this.#takes("(")) {
      if (++this.#depth > MAX_DEPTH) throw this.#refusal("groups are in each other too deep");
      const inside = this.#choice();
      this.#depth--;
      if (!this.#takes(")")) throw this.#refusal('")" is expected');
      return inside;
    }
    const at = this.#at;
    const name =
      this.#match(NAME) ?? this.#expected("a text, a set, a group or the name of a rule");
    if (!this.#used.has(name)) this.#used.set(name, at);
    return rule(name);
  }

  #repeated(element: Expr): Expr {
    let expr = element;
    for (;;) {
      if (this.#takes("*", false)) expr = repeat(expr, 0);
      else if (this.#takes("+", false)) expr = repeat(expr, 1);
      else if (this.#takes("?", false)) expr = repeat(expr, 0, 1);
      else if (this.#takes("{", false)) expr = this.#counted(expr);
      else return expr;
    }
  }

  #counted(of: Expr): Expr {
    const [, min, comma, max] =
      this.#matchAll(/\s*(\d{1,6})\s*(?:(,)\s*(\d{1,6})?\s*)?\}/y) ??
      this.#expected("{m}, {m,} or {m,n}");
    const [from, to] = [Number(min), comma ? (max ? Number(max) : undefined) : Number(min)];
    if ((to ?? from) < from || Math.max(from, to ?? 0) > MAX_REPEAT) {
      throw this.#refusal(`{${from},${to ?? ""}} is no count up to ${MAX_REPEAT}`);
    }
    return repeat(of, from, to);
  }

  #text(quote: string): Expr {
    let value = "";
    while (!this.#takes(quote, false)) {
      if (this.#at >= this.#source.length || this.#source[this.#at] === "\n") {
        throw this.#refusal(`a text is not closed by ${quote}`);
      }
      value += String.fromCodePoint(this.#char());
    }
    return text(value);
  }

  #set(): Expr {
    const isNegated = this.#takes("^", false);
    const parts: [number, number][] = [];
    while (!this.#takes("]", false)) {
      if (this.#at >= this.#source.length) throw this.#refusal('a set is not closed by "]"');
      const from = this.#char();
      const isRange = this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const to = isRange ? this.#char() : from;
      if (to < from) throw this.#refusal("a range of characters is in the wrong order");
      parts.push([from, to]);
    }
    const found = isNegated ? except(ranges(parts)) : ranges(parts);
    if (found.length === 0) throw this.#refusal("a set of characters is empty");
    return { kind: "chars", ranges: found };
  }

  #char(): number {
    const code = this.#source.codePointAt(this.#at)!;
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== 0x5c) return code;
    const hex = this.#matchAll(/x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})/y);
    if (hex) {
      const value = Number.parseInt(hex[1] ?? hex[2] ?? hex[3], 16);
      if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        throw this.#refusal("an escape is of no character");
      }
      return value;
    }
    const escaped = this.#source[this.#at++] ?? this.#expected("a character after \\");
    if (Object.hasOwn(SIMPLE, escaped)) return SIMPLE[escaped].charCodeAt(0);
    if (/[A-Za-z0-9]/.test(escaped)) throw this.#refusal(`\\${escaped} is no escape`);
    return escaped.codePointAt(0)!;
  }

  #lookahead(): void {
    this.#depth++;
    this.#choice();
    this.#depth--;
    if (!this.#takes(")")) throw this.#refusal('")" is expected');
  }

  #skip(): void {
    this.#matchAll(/(?:\s|#[^\n]*)*/y);
  }

  #isAt(token: string): boolean {
    return this.#source.startsWith(token, this.#at);
  }

  #takes(token: string, skipsSpace = true): boolean {
    if (skipsSpace) this.#skip();
    if (!this.#isAt(token)) return false;
    this.#at += token.length;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    return this.#matchAll(pattern)?.[0];
  }

  #matchAll(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source) ?? undefined;
    this.#at += found?.[0].length ?? 0;
    return found;
  }

  #expected(what: string): never {
    throw this.#refusal(`${what} is expected`);
  }

  #refusal(what: string): WeftError {
    const before = this.#source.slice(0, this.#at).split("\n");
    return new WeftError(
      "bad_request",
      `the grammar cannot be read: ${what}, at line ${before.length}, column ${before.at(-1)!.length + 1}; ` +
        'write rules as name ::= "text" [a-z] (other | rule)*, one of them root',
    );
  }
}
