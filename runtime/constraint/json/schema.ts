/**
 * What a JSON Schema is made of: which keywords belong to which type, which only describe, and which are refused
 * because nothing here enforces them.
 */
import { WeftError } from "../../errors.ts";

export type Schema = Readonly<Record<string, unknown>>;

export const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"] as const;
export type JsonType = (typeof TYPES)[number];

/** Keywords that are enforced, by the types that they are about. */
export const KEYWORDS_OF: Readonly<Partial<Record<JsonType, readonly string[]>>> = {
  object: [
    "properties",
    "required",
    "additionalProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
};
export const COMBINING = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];

/** Say nothing about which values fit. */
const DESCRIBING = new Set([
  "title",
  "description",
  "default",
  "examples",
  "example",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$comment",
  "$schema",
  "$defs",
  "definitions",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
]);

/** Of some draft of JSON Schema or of OpenAPI, and not enforced here. */
const REFUSED = new Set([
  "not",
  "if",
  "then",
  "else",
  "dependentSchemas",
  "dependentRequired",
  "dependencies",
  "contains",
  "minContains",
  "maxContains",
  "uniqueItems",
  "multipleOf",
  "divisibleBy",
  "patternProperties",
  "unevaluatedItems",
  "unevaluatedProperties",
  "extends",
  "disallow",
  "nullable",
  "discriminator",
  "$dynamicRef",
  "$recursiveRef",
]);

const ENFORCED = new Set([...COMBINING, ...Object.values(KEYWORDS_OF).flat()]);

export const isDescribing = (keyword: string): boolean =>
  DESCRIBING.has(keyword) || !(ENFORCED.has(keyword) || REFUSED.has(keyword) || keyword === "$id");

/**
 * @param path e.g. `#/properties/age`.
 * @throws {WeftError} `bad_request` that names the first keyword that nothing enforces.
 */
export function refuseUnenforced(schema: Schema, path: string): void {
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "$id" && path !== "#") throw refused(keyword, path);
    if (!REFUSED.has(keyword)) continue;
    // What says nothing.
    if (keyword === "uniqueItems" && value === false) continue;
    if (keyword === "nullable" && value === false) continue;
    if ((keyword === "then" || keyword === "else") && !("if" in schema)) continue;
    throw refused(keyword, path);
  }
}

export const refused = (keyword: string, path: string, what = "cannot be enforced"): WeftError =>
  new WeftError(
    "bad_request",
    `the schema's keyword ${JSON.stringify(keyword)} at ${path} ${what}; leave it out, or say it in another way`,
  );

export const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);
