/**
 * A conversation that ends within the assistant's answer: the prompt is that of the turn it belongs to,
 * and behind it what was said so far, to the letter. Thinking is over by then.
 */
import type { ChatFormat } from "../chat-format/chat-format.ts";
import { refuse } from "../request.ts";
import type { ChatCompletionRequest, ChatMessage } from "./chat-request.ts";

export interface OpenTurn {
  readonly messages: readonly ChatMessage[];
  /** Of the answer, so far; undefined where it is to begin. */
  readonly said: string | undefined;
}

/** @throws {WeftError} `bad_request` where there is no answer to go on with. */
export function openTurn({
  messages,
  continue_final_message: goesOn,
}: ChatCompletionRequest): OpenTurn {
  if (!goesOn || !Array.isArray(messages)) return { messages, said: undefined };
  const { role, content, tool_calls: calls } = messages.at(-1) ?? { role: "none" };
  if (role !== "assistant" || typeof content !== "string" || calls?.length) {
    refuse(
      "continue_final_message",
      goesOn,
      "left out unless the last message is the assistant's, with a text and without tool calls",
    );
  }
  return { messages: messages.slice(0, -1), said: content };
}

/** @param prompt Of the turn, as the template opens it. */
export function withSaid(prompt: string, said: string, format: ChatFormat | undefined): string {
  const { thinking } = format ?? {};
  if (!format || !thinking) return prompt + said;
  const { cut, close } = thinking;
  if (format.startsThinking(prompt)) return prompt + cut + said;
  // Where more than space stands between thinking and answer, there is no answer without it.
  const lead = cut.slice(cut.indexOf(close) + close.length);
  const isLed = lead.trim() === "" || prompt.trimEnd().endsWith(close);
  return prompt + (isLed ? "" : lead) + said;
}
