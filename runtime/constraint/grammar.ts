/**
 * A grammar as a value: rules over texts and sets of characters. What schemas, regexes, choices and EBNF are
 * turned into; masks and the shortest way out are both made of it. Knows no bytes and no tokens.
 */

/** Ascending code points, both ends included, without overlap. */
export type CharRanges = readonly (readonly [from: number, to: number])[];

export type Expr =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "chars"; readonly ranges: CharRanges }
  | { readonly kind: "rule"; readonly name: string }
  | { readonly kind: "sequence"; readonly parts: readonly Expr[] }
  | { readonly kind: "choice"; readonly options: readonly Expr[] }
  /** `max` undefined: any number of times. */
  | {
      readonly kind: "repeat";
      readonly of: Expr;
      readonly min: number;
      readonly max: number | undefined;
    };

export interface Grammar {
  /** A text of the grammar is one of `root`. Every name that occurs has a rule. */
  readonly rules: ReadonlyMap<string, Expr>;
}

export const text = (value: string): Expr => ({ kind: "text", text: value });
export const rule = (name: string): Expr => ({ kind: "rule", name });
export const sequence = (...parts: readonly Expr[]): Expr =>
  parts.length === 1 ? parts[0] : { kind: "sequence", parts };
export const choice = (...options: readonly Expr[]): Expr =>
  options.length === 1 ? options[0] : { kind: "choice", options };
export const repeat = (of: Expr, min: number, max?: number): Expr =>
  min === 1 && max === 1 ? of : { kind: "repeat", of, min, max };
export const optional = (of: Expr): Expr => repeat(of, 0, 1);

/** @param spans e.g. `"az"`, `"09"`, `"__"`: first and last character of each range. */
export const charsOf = (...spans: readonly string[]): Expr => ({
  kind: "chars",
  ranges: ranges(
    spans.map((span) => {
      const [from, to = from] = Array.from(span, (char) => char.codePointAt(0)!);
      return [from, to] as const;
    }),
  ),
});

/** Every character that UTF-8 can carry. */
export const ALL_CHARS: CharRanges = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Sorted and joined. */
export function ranges(parts: Iterable<readonly [number, number]>): CharRanges {
  const joined: [number, number][] = [];
  for (const [from, to] of [...parts].sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}

/** What is in both. */
export function inBoth(a: CharRanges, b: CharRanges): CharRanges {
  const both: [number, number][] = [];
  for (const [from, to] of a) {
    for (const [otherFrom, otherTo] of b) {
      const range: [number, number] = [Math.max(from, otherFrom), Math.min(to, otherTo)];
      if (range[0] <= range[1]) both.push(range);
    }
  }
  return ranges(both);
}

/** All characters but these. */
export function except(excluded: CharRanges): CharRanges {
  const rest: [number, number][] = [];
  let from = 0;
  for (const range of excluded) {
    if (range[0] > from) rest.push([from, range[0] - 1]);
    from = Math.max(from, range[1] + 1);
  }
  if (from <= 0x10ffff) rest.push([from, 0x10ffff]);
  return inBoth(rest, ALL_CHARS);
}

/** No text at all. */
export const NEVER: Expr = { kind: "choice", options: [] };
