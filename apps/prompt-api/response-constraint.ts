/** The form that an answer must have: a JSON Schema or a regular expression. */
import type { ChatMessage, ResponseFormat } from "../../worker.ts";
import { domError } from "./dom-errors.ts";

export type ResponseConstraint = Readonly<Record<string, unknown>> | RegExp;

/** @throws {DOMException} `NotSupportedError` for a flag that changes what matches. */
export function responseFormat(constraint: ResponseConstraint): ResponseFormat {
  if (constraint instanceof RegExp) {
    const flag = /[ims]/.exec(constraint.flags)?.[0];
    if (flag !== undefined) {
      const message = `the flag ${flag} of a responseConstraint is not supported; write the pattern without it`;
      throw domError("NotSupportedError", message);
    }
    // An answer matches as a whole.
    return {
      type: "regex",
      pattern: constraint.source.replace(/^\^/, "").replace(/(?<!\\)\$$/, ""),
    };
  }
  if (typeof constraint !== "object" || constraint === null) {
    throw new TypeError("responseConstraint must be a JSON Schema or a RegExp");
  }
  return { type: "json_schema", json_schema: { name: "answer", schema: constraint, strict: true } };
}

/** The last message with the form in words, which models follow better than being held to it alone. */
export function told(
  messages: readonly ChatMessage[],
  constraint: ResponseConstraint,
): readonly ChatMessage[] {
  const last = messages.at(-1);
  if (last?.role !== "user") return messages;
  const words =
    constraint instanceof RegExp
      ? `Answer with a text that matches this regular expression: ${constraint.source}`
      : `Answer with JSON of this schema: ${JSON.stringify(constraint)}`;
  return [...messages.slice(0, -1), { ...last, content: `${last.content}\n\n${words}` }];
}
