/**
 * JSON as a grammar: strings, numbers, any value, and the white space between. Half a surrogate pair cannot be
 * written, and no number is beyond a double's range.
 *
 * White space is what writers of JSON use: none, one blank, or a line break and an indentation; none before
 * commas and colons. So the compact text, `json.dumps` and an indented one are all natural ways to go on, and a
 * model cannot dawdle between two tokens of JSON for ever, as it can where any white space goes.
 */
import {
  ALL_CHARS,
  type CharRanges,
  charsOf,
  choice,
  type Expr,
  except,
  inBoth,
  optional,
  ranges,
  repeat,
  rule,
  sequence,
  text,
} from "../grammar.ts";

const MAX_INDENT = 24;
/** Every integer of so many digits is a double. */
export const MAX_DIGITS = 15;
const MAX_FRACTION = 10;

export const DIGIT = charsOf("09");
const HEX = charsOf("09", "AF", "af");

/** Characters that stand for themselves in a JSON string. */
export const PLAIN = except(
  ranges([
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
  ]),
);

const chars = (of: CharRanges): Expr => ({ kind: "chars", ranges: of });

const pair = sequence(
  charsOf("DD", "dd"),
  charsOf("89", "AB", "ab"),
  HEX,
  HEX,
  text("\\u"),
  charsOf("DD", "dd"),
  charsOf("CF", "cf"),
  HEX,
  HEX,
);
const noSurrogate = sequence(
  choice(
    sequence(charsOf("09", "AC", "EF", "ac", "ef"), HEX),
    sequence(charsOf("DD", "dd"), charsOf("07")),
  ),
  HEX,
  HEX,
);

/** Rules that the others are made of: all are in every grammar of JSON. */
export const JSON_RULES: readonly (readonly [name: string, expr: Expr])[] = [
  [
    "gap",
    choice(text(""), text(" "), sequence(text("\n"), repeat(charsOf("  ", "\t\t"), 0, MAX_INDENT))),
  ],
  [
    "escape",
    sequence(
      text("\\"),
      choice(
        charsOf('""', "\\\\", "//", "bb", "ff", "nn", "rr", "tt"),
        sequence(text("u"), choice(noSurrogate, pair)),
      ),
    ),
  ],
  ["char", choice(chars(PLAIN), rule("escape"))],
  // Written so that xgrammar is fast: it looks ahead in rules that end what they begin.
  ["string", sequence(text('"'), rule("string end"))],
  [
    "string end",
    choice(
      text('"'),
      sequence(chars(PLAIN), rule("string end")),
      sequence(rule("escape"), rule("string end")),
    ),
  ],
  ["integer", choice(text("0"), sequence(optional(text("-")), positiveDigits()))],
  [
    "number",
    sequence(
      optional(text("-")),
      choice(text("0"), positiveDigits()),
      optional(sequence(text("."), repeat(DIGIT, 1, MAX_FRACTION))),
      optional(sequence(charsOf("ee", "EE"), optional(charsOf("++", "--")), repeat(DIGIT, 1, 2))),
    ),
  ],
  ["boolean", choice(text("true"), text("false"))],
  ["object", bracketed("{", list(member(rule("string"), rule("value"))), "}", true)],
  ["array", bracketed("[", list(rule("value")), "]", true)],
  ["value", choice(...["object", "array", "string", "number", "boolean"].map(rule), text("null"))],
];

function positiveDigits(): Expr {
  return sequence(charsOf("19"), repeat(DIGIT, 0, MAX_DIGITS - 1));
}

/** At least `min`, comma between. */
export function list(item: Expr, min = 1, max?: number): Expr {
  const more = sequence(text(","), rule("gap"), item);
  return sequence(
    item,
    repeat(more, Math.max(0, min - 1), max === undefined ? undefined : max - 1),
  );
}

export function member(key: Expr, value: Expr): Expr {
  return sequence(key, text(":"), optional(text(" ")), value);
}

export function bracketed(open: string, inside: Expr, close: string, mayBeEmpty: boolean): Expr {
  const full = sequence(rule("gap"), inside, rule("gap"));
  return sequence(text(open), mayBeEmpty ? optional(full) : full, text(close));
}

/** One value, however its members are spaced. */
export function literal(value: unknown): Expr {
  if (typeof value !== "object" || value === null) return text(JSON.stringify(value));
  const parts = Array.isArray(value)
    ? value.map(literal)
    : Object.entries(value).map(([key, of]) => member(literal(key), literal(of)));
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (parts.length === 0) return text(open + close);
  const [first, ...rest] = parts;
  const inside = [first, ...rest.map((part) => sequence(text(","), rule("gap"), part))];
  return bracketed(open, sequence(...inside), close, false);
}

const SHORT_ESCAPES = new Map([
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);

/**
 * One of these characters inside a string: as it is, or escaped where JSON says so. Control characters that have
 * no escape of their own only where nothing else is left.
 */
export function charInString(of: CharRanges): Expr {
  if (JSON.stringify(of) === JSON.stringify(ALL_CHARS)) return rule("char");
  const plain = inBoth(of, PLAIN);
  const codes = inBoth(of, except(PLAIN)).flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  );
  const short = codes.filter((code) => SHORT_ESCAPES.has(code));
  const isBare = plain.length === 0 && short.length === 0;
  const escapes = (isBare ? codes : short).map((code) =>
    text(SHORT_ESCAPES.get(code) ?? `\\u${code.toString(16).padStart(4, "0")}`),
  );
  return choice(...(plain.length === 0 ? [] : [chars(plain)]), ...escapes);
}

/** A key of plain characters that is none of these. */
export function keyOtherThan(names: readonly string[]): Expr {
  const otherThan = (tails: readonly string[]): Expr => {
    const next = new Map<string, string[]>();
    for (const tail of tails) {
      const [char, ...rest] = tail;
      if (char !== undefined) next.set(char, [...(next.get(char) ?? []), rest.join("")]);
    }
    const known = ranges(
      [...next.keys()].map((char) => [char.codePointAt(0)!, char.codePointAt(0)!] as const),
    );
    const options = [
      sequence(chars(inBoth(PLAIN, except(known))), repeat(chars(PLAIN), 0)),
      ...[...next].map(([char, rest]) => sequence(text(char), otherThan(rest))),
    ];
    return choice(...(tails.includes("") ? [] : [text("")]), ...options);
  };
  const plain = names.filter((name) => JSON.stringify(name) === `"${name}"`);
  return sequence(text('"'), otherThan(plain), text('"'));
}
