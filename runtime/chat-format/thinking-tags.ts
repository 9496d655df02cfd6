/**
 * Thinking in tags at an answer's beginning, as `<think>…</think>`. Tags that come later are content:
 * an answer may speak of them. Whitespace at the tags is theirs.
 */
import type { ThinkingSyntax } from "./chat-format.ts";
import type { IncomingText, Reading } from "./incoming-text.ts";
import type { PartWriter } from "./part-writer.ts";

export const THINK: ThinkingSyntax = {
  open: "<think>",
  close: "</think>",
  cut: "\n</think>\n\n",
  cutToCall: "\n</think>\n\n",
};

/** @param open Where the prompt has opened it, the answer may open it once more. */
export function* readThinking(
  text: IncomingText,
  parts: PartWriter,
  { open, close }: ThinkingSyntax,
  startsThinking: boolean,
): Reading {
  const space = yield* text.space();
  if (yield* text.startsWith(open)) {
    text.take(open.length);
    yield* text.space();
  } else if (!startsThinking) {
    text.rest = space + text.rest;
    return;
  }
  yield* text.until([close], (piece) => parts.reasoning(piece));
  yield* text.space();
}

/** The prompt's last words open a block, and whitespace may follow. */
export const endsOpen = (prompt: string, { open }: ThinkingSyntax): boolean =>
  prompt.trimEnd().endsWith(open);
