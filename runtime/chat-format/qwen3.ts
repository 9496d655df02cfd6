/** Qwen3, SmolLM3 and the demo model: calls as Hermes writes them, behind thinking that a template can switch off. */
import type { ChatFormat } from "./chat-format.ts";
import { HERMES_CALLS, readHermesBody } from "./hermes.ts";
import { parserOf } from "./incoming-text.ts";
import { readContent } from "./plain.ts";
import { readTaggedCalls, TOOL_CALL } from "./tagged-calls.ts";
import { endsOpen, readThinking, THINK } from "./thinking-tags.ts";

export const format: ChatFormat = {
  name: "qwen3",
  thinking: THINK,
  calls: HERMES_CALLS,
  readsSpecialTokens: true,
  markers: [THINK.open, THINK.close, TOOL_CALL.open, TOOL_CALL.close],
  startsThinking: (prompt) => endsOpen(prompt, THINK),
  templateVariables: ({ reasoningEffort: effort }) =>
    effort === undefined ? {} : { enable_thinking: effort !== "none" },
  parser: ({ tools, startsThinking }) =>
    parserOf(function* (text, parts) {
      yield* readThinking(text, parts, THINK, startsThinking);
      if (tools) yield* readTaggedCalls(text, parts, readHermesBody);
      else yield* readContent(text, parts);
    }),
};
