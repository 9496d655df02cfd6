/** An answer read by a parser, in pieces, and what a client would have put together from its parts. */
import type {
  AnswerPart,
  ChatFormat,
  ParserOptions,
} from "../../../runtime/chat-format/chat-format.ts";

export interface ReadAnswer {
  readonly content?: string;
  readonly reasoning?: string;
  /** Name and arguments as text. */
  readonly calls?: readonly (readonly [string, string])[];
}

/** An answer as a model writes it, without its end token, and what it says. */
export interface AnswerCase {
  readonly title: string;
  readonly text: string;
  /** Tools are given unless it says otherwise. */
  readonly options?: Partial<ParserOptions>;
  readonly says: ReadAnswer;
}

export function readParts(
  format: ChatFormat,
  pieces: readonly string[],
  options: Partial<ParserOptions> = {},
): AnswerPart[] {
  const parser = format.parser({ tools: true, startsThinking: false, ...options });
  return [...pieces.flatMap((piece) => parser.push(piece)), ...parser.flush()];
}

export function joined(parts: readonly AnswerPart[]): ReadAnswer {
  let content = "";
  let reasoning = "";
  const calls: [string, string][] = [];
  for (const part of parts) {
    if (part.type === "content") content += part.text;
    else if (part.type === "reasoning") reasoning += part.text;
    else if (part.type === "tool_call") calls[part.index] = [part.name, ""];
    else calls[part.index][1] += part.text;
  }
  return {
    ...(content && { content }),
    ...(reasoning && { reasoning }),
    ...(calls.length > 0 && { calls }),
  };
}
