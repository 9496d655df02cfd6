/**
 * A conversation that ends within the assistant's answer: the prompt is that of the turn it belongs to,
 * and what it has said so far, to the letter.
 */
import { refuse } from "../request.ts";
import type { ChatCompletionRequest, ChatMessage } from "./chat-request.ts";

export interface OpenTurn {
  readonly messages: readonly ChatMessage[];
  /** What the prompt ends with. */
  readonly said: string;
}

/** @throws {WeftError} `bad_request` where there is no answer to go on with. */
export function openTurn({
  messages,
  continue_final_message: goesOn,
}: ChatCompletionRequest): OpenTurn {
  if (!goesOn) return { messages, said: "" };
  const { role, content, tool_calls: calls } = messages[messages.length - 1];
  if (role !== "assistant" || typeof content !== "string" || calls?.length) {
    refuse(
      "continue_final_message",
      goesOn,
      "left out unless the last message is the assistant's, with a text and without tool calls",
    );
  }
  return { messages: messages.slice(0, -1), said: content };
}
