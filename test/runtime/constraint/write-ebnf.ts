/**
 * A grammar as the EBNF that xgrammar reads, in the forms that it reads exactly (seen in 0.1.27): its sets of
 * characters are sets of bytes where they go beyond ASCII, one character of them alone is a text in UTF-8, and
 * counted repetitions of rules admit an early end. So such sets are written byte by byte, and repetitions as rules.
 * Its negated sets take all of UTF-8, and fast; those whose exceptions are ASCII are written so.
 */
import {
  type CharRanges,
  type Expr,
  except,
  type Grammar,
} from "../../../runtime/constraint/grammar.ts";
import { type ByteSequence, utf8Ranges } from "../../../runtime/constraint/utf8-ranges.ts";

export function writeEbnf(grammar: Grammar): string {
  return new EbnfWriter(grammar).write();
}

class EbnfWriter {
  readonly #rules: ReadonlyMap<string, Expr>;
  readonly #names: ReadonlyMap<string, string>;
  readonly #lines: string[] = [];

  constructor({ rules }: Grammar) {
    this.#rules = rules;
    this.#names = new Map(
      [...rules.keys()].map((name, i) => [name, name === "root" ? "root" : `r${i}`]),
    );
  }

  write(): string {
    for (const [name, expr] of this.#rules) {
      const options = expr.kind === "choice" ? expr.options : [expr];
      this.#lines.push(
        `${this.#names.get(name)} ::= ${options.map((of) => this.#of(of)).join(" | ")}`,
      );
    }
    return `${this.#lines.join("\n")}\n`;
  }

  #newRule(options: readonly string[]): string {
    const name = `x${this.#lines.length}`;
    this.#lines.push(`${name} ::= ${options.join(" | ")}`);
    return name;
  }

  #of(expr: Expr): string {
    switch (expr.kind) {
      case "text":
        return `"${Array.from(expr.text, (char) => escaped(char.codePointAt(0)!)).join("")}"`;
      case "chars":
        return this.#chars(expr.ranges);
      case "rule":
        return this.#names.get(expr.name)!;
      case "sequence":
        return expr.parts.length === 0
          ? '""'
          : `(${expr.parts.map((part) => this.#of(part)).join(" ")})`;
      case "choice":
        return `(${expr.options.map((option) => this.#of(option)).join(" | ")})`;
      case "repeat":
        return this.#repeat(expr);
    }
  }

  #repeat({ of, min, max }: Extract<Expr, { kind: "repeat" }>): string {
    const once = this.#once(of, Math.max(min, max ?? 2));
    const parts = new Array<string>(min).fill(once);
    if (max === undefined) {
      const loop = `x${this.#lines.length}`;
      this.#newRule(['""', `${once} ${loop}`]);
      parts.push(loop);
    }
    let rest = "";
    for (let i = min; i < (max ?? 0); i++) {
      rest = this.#newRule(['""', rest === "" ? once : `${once} ${rest}`]);
    }
    return `(${[...parts, ...(rest === "" ? [] : [rest])].join(" ") || '""'})`;
  }

  /** What is said often gets a rule. */
  #once(of: Expr, times: number): string {
    const written = this.#of(of);
    return times > 1 && written.length > 20 ? this.#newRule([written]) : written;
  }

  #chars(ranges: CharRanges): string {
    const others = except(ranges);
    const isAscii = (of: CharRanges) => of.every(([, to]) => to <= 0x7f);
    if (isAscii(ranges)) return classOf("", ranges);
    if (isAscii(others)) return others.length === 0 ? classOf("^", [[0, 0]]) : classOf("^", others);
    return `(${utf8Ranges(ranges).map(bytesOf).join(" | ")})`;
  }
}

const bytesOf = (sequence: ByteSequence): string =>
  sequence.map((range) => classOf("", [range])).join(" ");

function classOf(negation: "" | "^", ranges: CharRanges): string {
  const inside = ranges.map(([from, to]) => {
    // Beyond ASCII a single byte would be read as a character, unless it is said twice.
    if (from === to) return from > 0x7f ? escaped(from).repeat(2) : escaped(from);
    return `${escaped(from)}-${escaped(to)}`;
  });
  return `[${negation}${inside.join("")}]`;
}

/** Letters and digits as they are; all others by number, which needs no rule of its own in texts and sets. */
function escaped(code: number): string {
  const char = String.fromCodePoint(code);
  if (/[A-Za-z0-9 _,:]/.test(char)) return char;
  return code > 0xffff
    ? `\\U${code.toString(16).padStart(8, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}
