/** Families without a syntax that we know: all they say is content, at once and word for word. */
import type { ChatFormat } from "./chat-format.ts";
import type { IncomingText, Reading } from "./incoming-text.ts";
import { parserOf } from "./incoming-text.ts";
import type { PartWriter } from "./part-writer.ts";

export function* readContent(text: IncomingText, parts: PartWriter): Reading {
  for (;;) {
    parts.content(text.take(text.rest.length));
    if (text.ended) return;
    yield;
  }
}

export const format: ChatFormat = {
  name: "plain",
  readsSpecialTokens: false,
  markers: [],
  startsThinking: () => false,
  templateVariables: () => ({}),
  parser: () => parserOf(readContent),
};
