/** `<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes, Qwen2.5, and many that were tuned like them. */
import { readCallObject } from "./call-object.ts";
import type { CallSyntax, ChatFormat } from "./chat-format.ts";
import { parserOf } from "./incoming-text.ts";
import { readContent } from "./plain.ts";
import { type CallBody, readTaggedCalls, TOOL_CALL } from "./tagged-calls.ts";

export const readHermesBody: CallBody = (text, parts) =>
  readCallObject(text, parts, { stop: TOOL_CALL.close });

/** With the whitespace that Qwen's and Hermes' templates write. */
export const HERMES_CALLS: CallSyntax = {
  trigger: TOOL_CALL.open,
  open: "",
  close: "",
  separator: "\n",
  begin: (name) => `${TOOL_CALL.open}\n{"name": ${JSON.stringify(name)}, "arguments": `,
  end: `}\n${TOOL_CALL.close}`,
};

export const format: ChatFormat = {
  name: "hermes",
  calls: HERMES_CALLS,
  readsSpecialTokens: true,
  markers: [TOOL_CALL.open, TOOL_CALL.close],
  startsThinking: () => false,
  templateVariables: () => ({}),
  parser: ({ tools }) =>
    parserOf((text, parts) =>
      tools ? readTaggedCalls(text, parts, readHermesBody) : readContent(text, parts),
    ),
};
