/** Numbers that fit a schema. */
import { type Expr, NEVER, rule } from "../grammar.ts";
import { type Bounds, integersBetween, isExact, numbersBetween } from "./number-range.ts";
import { KEYWORDS_OF, refused, type Schema } from "./schema.ts";

export function numberText(type: "number" | "integer", schema: Schema, path: string): Expr {
  const given = KEYWORDS_OF.number!.filter((keyword) => schema[keyword] !== undefined);
  for (const keyword of given) {
    const bound = schema[keyword];
    if (typeof bound !== "number" || !Number.isFinite(bound)) {
      throw refused(keyword, path, `is ${JSON.stringify(bound)}, not a number`);
    }
    if (type === "number" && !isExact(bound)) {
      throw refused(
        keyword,
        path,
        `is ${bound}: up to 1e9, with six digits behind the point, can be enforced`,
      );
    }
  }
  if (given.length === 0) return rule(type);
  const bounds = boundsOf(schema as Readonly<Record<string, number>>);
  return (type === "integer" ? integersBetween(bounds) : numbersBetween(bounds)) ?? NEVER;
}

/** The narrower of two that are given. */
function boundsOf({
  minimum,
  maximum,
  exclusiveMinimum,
  exclusiveMaximum,
}: Readonly<Record<string, number>>): Bounds {
  const isMinExclusive = exclusiveMinimum !== undefined && !(minimum > exclusiveMinimum);
  const isMaxExclusive = exclusiveMaximum !== undefined && !(maximum < exclusiveMaximum);
  return {
    min: isMinExclusive ? exclusiveMinimum : minimum,
    max: isMaxExclusive ? exclusiveMaximum : maximum,
    isMinExclusive,
    isMaxExclusive,
  };
}
