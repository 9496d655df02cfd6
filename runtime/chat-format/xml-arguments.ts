/**
 * Arguments in XML as a constraint, by the schema of a tool: its properties in their order, those that are
 * not required perhaps left out. A text is free but for its choices (`enum`): its length and pattern are not
 * held to. What is no text is JSON of its schema.
 */
import type { StructuralFormat } from "../constraint/structural-tag.ts";
import { field, typesOf } from "./xml-call.ts";

/** An empty `const_string` does not compile. */
const NOTHING: StructuralFormat = { type: "regex", pattern: "()" };

export function xmlArguments(schema: object): StructuralFormat {
  const required = [field(schema, "required")].flat();
  const properties = Object.entries(field(schema, "properties") ?? {});
  if (properties.length === 0) {
    return field(schema, "additionalProperties") === true ? { type: "any_text" } : NOTHING;
  }
  const elements = properties.map(([name, property]): StructuralFormat => {
    const parameter: StructuralFormat = {
      type: "tag",
      begin: `<parameter=${name}>\n`,
      content: valueFormat(property, schema),
      end: "\n</parameter>\n",
    };
    if (required.includes(name)) return parameter;
    return { type: "or", elements: [parameter, NOTHING] };
  });
  return { type: "sequence", elements };
}

function valueFormat(property: object | boolean, schema: object): StructuralFormat {
  const choices = field(property, "enum");
  if (Array.isArray(choices) && choices.length > 0 && choices.every(isWord)) {
    return {
      type: "or",
      elements: choices.map((value) => ({ type: "const_string", value })),
    };
  }
  if (typesOf(property).includes("string")) return { type: "any_text" };
  const definitions = field(schema, "$defs");
  const root = typeof property === "object" && definitions ? { $defs: definitions } : {};
  return {
    type: "json_schema",
    json_schema: typeof property === "object" ? { ...root, ...property } : property,
  };
}

const isWord = (value: unknown): value is string => typeof value === "string" && value !== "";
