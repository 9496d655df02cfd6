/** What `response_format` asks, as a constraint. Refuses by field what says too little. */
import type { ConstraintSpec } from "../constraint/constraint.ts";
import { refuse } from "../request.ts";
import type { ResponseFormat } from "./chat-request.ts";

/** @returns Undefined for text. @throws {WeftError} `bad_request`. */
export function formatConstraint(
  format: ResponseFormat | null | undefined,
): ConstraintSpec | undefined {
  if (format === undefined || format === null) return undefined;
  switch (format.type) {
    case "text":
      return undefined;
    case "json_object":
      return { type: "json_object" };
    case "json_schema":
      return { type: "json_schema", schema: schemaOf(format.json_schema) };
    case "regex":
      return { type: "regex", pattern: textOf("response_format.pattern", format.pattern) };
    case "grammar":
      return { type: "grammar", grammar: textOf("response_format.grammar", format.grammar) };
    case "choice":
      return { type: "choice", choices: choicesOf(format.choices) };
    default:
      return refuse(
        "response_format",
        format,
        "of type text, json_object, json_schema, regex, choice or grammar",
      );
  }
}

function schemaOf(named: unknown): object | boolean {
  const { schema } = Object(named);
  if (typeof schema === "boolean") return schema;
  if (typeof schema === "object" && schema !== null && !Array.isArray(schema)) return schema;
  return refuse("response_format.json_schema.schema", schema, "a JSON schema: an object");
}

function textOf(name: string, value: unknown): string {
  return typeof value === "string" && value !== "" ? value : refuse(name, value, "a text");
}

function choicesOf(choices: unknown): readonly string[] {
  const isText = (choice: unknown) => typeof choice === "string" && choice !== "";
  if (Array.isArray(choices) && choices.length > 0 && choices.every(isText)) return choices;
  return refuse("response_format.choices", choices, "a list of texts that are not empty");
}
