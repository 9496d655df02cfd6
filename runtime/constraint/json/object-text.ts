/** Objects that fit a schema. */
import { choice, type Expr, NEVER, repeat, rule, sequence, text } from "../grammar.ts";
import { countOf } from "./count.ts";
import { bracketed, keyOtherThan, literal, member } from "./json-text.ts";
import { isSchema, refused, type Schema } from "./schema.ts";
import type { SchemaContext } from "./schema-context.ts";

interface Property {
  readonly text: Expr;
  readonly isRequired: boolean;
}

export function objectText(schema: Schema, path: string, context: SchemaContext): Expr {
  const named = propertiesOf(schema, path, context);
  const other = otherMember(schema, named.size, path, context);
  const { min, max } = countsOf(schema, path);
  const numRequired = [...named.values()].filter(({ isRequired }) => isRequired).length;
  if (named.size === 0) return members(other, min, max);
  if (min > numRequired)
    throw refused("minProperties", path, "asks for more than the required properties");
  if (max !== undefined && (other !== undefined || max < named.size)) {
    throw refused("maxProperties", path, "cannot be enforced beside properties");
  }
  const comma = sequence(text(","), rule("gap"));
  const others = other === undefined ? text("") : repeat(sequence(comma, other), 0);
  // What may follow once a member has been written, from the last property to the first.
  let after = others;
  let first: Expr = other === undefined ? NEVER : sequence(other, others);
  for (const property of [...named.values()].reverse()) {
    const next = context.newRule(sequence(property.text, after));
    first = context.newRule(property.isRequired ? next : choice(next, first));
    const more = sequence(comma, next);
    after = context.newRule(property.isRequired ? more : choice(more, after));
  }
  const full = bracketed("{", first, "}", false);
  return numRequired === 0 ? choice(text("{}"), full) : full;
}

/** Members of any names. One name said twice is one property, so no more than one can be asked for. */
function members(other: Expr | undefined, min: number, max: number | undefined): Expr {
  const more = sequence(text(","), rule("gap"), other ?? NEVER);
  const rest = repeat(more, 0, max === undefined ? undefined : Math.max(0, max - 1));
  const full =
    other === undefined || max === 0 ? NEVER : bracketed("{", sequence(other, rest), "}", false);
  return min === 0 ? choice(text("{}"), full) : full;
}

/** By name, in the schema's order; those that are only required come last. */
function propertiesOf(schema: Schema, path: string, context: SchemaContext): Map<string, Property> {
  const { properties = {}, required = [] } = schema;
  if (!isSchema(properties)) throw refused("properties", path, "is no object");
  if (!Array.isArray(required) || required.some((name) => typeof name !== "string")) {
    throw refused("required", path, "is no list of names");
  }
  const named = new Map<string, Property>();
  for (const [name, value] of Object.entries(properties)) {
    const at = `${path}/properties/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    named.set(name, {
      text: context.newRule(member(literal(name), context.inside(value, at))),
      isRequired: required.includes(name),
    });
  }
  const rest = schema.additionalProperties ?? true;
  for (const name of required as string[]) {
    if (named.has(name)) continue;
    named.set(name, {
      text: member(literal(name), context.inside(rest, `${path}/additionalProperties`)),
      isRequired: true,
    });
  }
  return named;
}

/** A member that is not named; undefined where there is to be none. */
function otherMember(
  schema: Schema,
  numNamed: number,
  path: string,
  context: SchemaContext,
): Expr | undefined {
  const { properties, additionalProperties, propertyNames, required } = schema;
  const isOpen = additionalProperties ?? properties === undefined;
  if (propertyNames !== undefined && numNamed > 0) {
    throw refused("propertyNames", path, "cannot stand beside properties");
  }
  if (isOpen === false || (numNamed > 0 && additionalProperties === undefined)) return undefined;
  const names = [...new Set([...Object.keys(properties ?? {}), ...((required as string[]) ?? [])])];
  const value = context.inside(isOpen, `${path}/additionalProperties`);
  const key =
    propertyNames !== undefined
      ? nameText(propertyNames, path, context)
      : names.length > 0
        ? keyOtherThan(names)
        : rule("string");
  return context.newRule(member(key, value));
}

function nameText(propertyNames: unknown, path: string, context: SchemaContext): Expr {
  const at = `${path}/propertyNames`;
  if (!isSchema(propertyNames)) return propertyNames === true ? rule("string") : NEVER;
  // Names are strings whatever is said of their type.
  const { type = "string", ...rest } = propertyNames;
  if (type !== "string") throw refused("type", at, "must be string");
  return context.inside({ ...rest, type }, at);
}

function countsOf(schema: Schema, path: string): { min: number; max: number | undefined } {
  const [min = 0, max] = [
    countOf(schema, "minProperties", path),
    countOf(schema, "maxProperties", path),
  ];
  if (min > 1 && schema.properties === undefined) {
    throw refused(
      "minProperties",
      path,
      "cannot ask for more than one of names that are not given",
    );
  }
  return { min, max };
}
