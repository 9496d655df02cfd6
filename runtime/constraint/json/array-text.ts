/** Arrays that fit a schema. */
import { choice, type Expr, NEVER, optional, repeat, rule, sequence, text } from "../grammar.ts";
import { countOf } from "./count.ts";
import { bracketed } from "./json-text.ts";
import { refused, type Schema } from "./schema.ts";
import type { SchemaContext } from "./schema-context.ts";

export function arrayText(schema: Schema, path: string, context: SchemaContext): Expr {
  const { items, prefixItems, additionalItems } = schema;
  const min = countOf(schema, "minItems", path) ?? 0;
  const max = countOf(schema, "maxItems", path);
  // Up to draft 7, a list of items stands for the first ones, and additionalItems for the others.
  const firstKeyword = prefixItems !== undefined ? "prefixItems" : "items";
  const first = prefixItems ?? (Array.isArray(items) ? items : []);
  if (!Array.isArray(first)) throw refused("prefixItems", path, "is no list");
  const others = Array.isArray(items) ? (additionalItems ?? true) : (items ?? true);
  if (max !== undefined && max < min) return NEVER;
  const head = first
    .slice(0, max)
    .map((item, i) => context.newRule(context.inside(item, `${path}/${firstKeyword}/${i}`)));
  // An array that names its items gets no others that nobody asked for.
  const isClosed =
    first.length > 0 &&
    (Array.isArray(items) ? additionalItems : items) === undefined &&
    min <= first.length;
  const item =
    isClosed || head.length === max
      ? NEVER
      : context.newRule(context.inside(others, `${path}/items`));
  const more = sequence(text(","), rule("gap"), item);
  const restMin = Math.max(0, min - head.length);
  const restMax = max === undefined ? undefined : max - head.length;
  // Each of the first may be the last one, from `min` on.
  let tail = repeat(more, restMin, restMax);
  for (const [i, own] of [...head.entries()].reverse()) {
    if (i === 0) break;
    const next = context.newRule(sequence(text(","), rule("gap"), own, tail));
    tail = i < min ? next : optional(next);
  }
  const inside =
    head.length > 0
      ? sequence(head[0], tail)
      : max === 0
        ? NEVER
        : sequence(
            item,
            repeat(more, Math.max(0, min - 1), max === undefined ? undefined : max - 1),
          );
  const full = bracketed("[", inside, "]", false);
  return min === 0 ? choice(text("[]"), full) : full;
}
