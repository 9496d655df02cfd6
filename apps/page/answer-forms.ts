/** The forms that an answer can be held to, each with an example and a question that goes with it. */
import type { ResponseFormat } from "../../worker.ts";

export interface AnswerForm {
  readonly key: "json_schema" | "regex" | "choice";
  readonly name: string;
  /** What the field below it takes. */
  readonly takes: string;
  readonly example: string;
  readonly question: string;
  /** @throws SyntaxError for what is not JSON; all else is the engine's to judge. */
  format(text: string): ResponseFormat;
}

const PERSON = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0, maximum: 120 },
    color: { enum: ["red", "green", "blue"] },
  },
  required: ["name", "age", "color"],
};

/** One property per line. */
const written = (schema: typeof PERSON): string => {
  const { type, properties, required } = schema;
  const lines = Object.entries(properties).map(
    ([name, of]) => `    ${JSON.stringify(name)}: ${JSON.stringify(of)}`,
  );
  return [
    "{",
    `  "type": ${JSON.stringify(type)},`,
    `  "properties": {\n${lines.join(",\n")}\n  },`,
    `  "required": ${JSON.stringify(required)}`,
    "}",
  ].join("\n");
};

export const ANSWER_FORMS: readonly AnswerForm[] = [
  {
    key: "json_schema",
    name: "JSON of a schema",
    takes: "JSON Schema",
    example: written(PERSON),
    question: "Write JSON with the keys name, age and color. name is Anna, age is 31, color is red",
    format: (text) => ({ type: "json_schema", json_schema: { schema: JSON.parse(text) } }),
  },
  {
    key: "regex",
    name: "a regular expression",
    takes: "Regular expression, of the whole answer",
    example: String.raw`[A-Z][a-z ]+\.`,
    question: "Tell me a story about a fox named Lily.",
    format: (pattern) => ({ type: "regex", pattern }),
  },
  {
    key: "choice",
    name: "one of these texts",
    takes: "Texts, one per line",
    example: "Your dog is called Luna.\nYour dog is called Rex.\nI do not know.",
    question: "My dog is called Rex. What is my dog called?",
    format: (text) => ({ type: "choice", choices: text.split("\n").filter((line) => line !== "") }),
  },
];
