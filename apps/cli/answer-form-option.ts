/** `--schema`, `--regex` and `--choice`: the form that an answer is held to. What a form means is the engine's to judge. */
import { UsageError } from "./option.ts";
import { text, texts } from "./option-types.ts";
import { readTextFile } from "./text-file.ts";

export const answerFormOptions = {
  schema: text("F.json", "hold the answer to JSON of this schema"),
  regex: text("R", "hold the answer to a regular expression, as a whole"),
  choice: texts("T", "hold the answer to one of these texts; once for each"),
};

interface AnswerFormValues {
  readonly schema?: string;
  readonly regex?: string;
  readonly choice?: readonly string[];
}

/** @throws {UsageError}, {WeftError} of a file that cannot be read. */
export function answerFormOf({ schema, regex, choice }: AnswerFormValues) {
  const given = [schema, regex, choice].filter((form) => form !== undefined);
  if (given.length > 1) {
    throw new UsageError("--schema, --regex and --choice say different things; give one of them");
  }
  if (schema !== undefined) return schemaForm(schema);
  if (regex !== undefined) return { type: "regex", pattern: regex } as const;
  return choice && ({ type: "choice", choices: choice } as const);
}

function schemaForm(path: string) {
  const content = readTextFile(path);
  try {
    return { type: "json_schema", json_schema: { schema: JSON.parse(content) } } as const;
  } catch (error) {
    const reason = error instanceof Error ? error.message : `${error}`;
    throw new UsageError(`--schema: ${path} is not JSON: ${reason}; correct the file`);
  }
}
