/** Families that think in `<think>` tags and whose calls we do not know, such as DeepSeek-R1's distillates. */
import type { ChatFormat } from "./chat-format.ts";
import { parserOf } from "./incoming-text.ts";
import { readContent } from "./plain.ts";
import { endsOpen, readThinking, THINK } from "./thinking-tags.ts";

export const format: ChatFormat = {
  name: "think",
  thinking: THINK,
  readsSpecialTokens: true,
  markers: [THINK.open, THINK.close],
  startsThinking: (prompt) => endsOpen(prompt, THINK),
  templateVariables: ({ reasoningEffort: effort }) =>
    // Two names are in use.
    effort === undefined ? {} : { enable_thinking: effort !== "none", thinking: effort !== "none" },
  parser: ({ startsThinking }) =>
    parserOf(function* (text, parts) {
      yield* readThinking(text, parts, THINK, startsThinking);
      yield* readContent(text, parts);
    }),
};
