/**
 * Qwen3-Coder and what came after it: calls in XML (xml-call.ts), in tags or, where the model forgets them,
 * without; those of Hermes are understood too. Some of these models think.
 */
import type { ChatFormat } from "./chat-format.ts";
import { HERMES_CALLS, readHermesBody } from "./hermes.ts";
import { parserOf } from "./incoming-text.ts";
import { readContent } from "./plain.ts";
import { format as qwen3 } from "./qwen3.ts";
import { type CallBody, readTaggedCalls, TOOL_CALL } from "./tagged-calls.ts";
import { readThinking, THINK } from "./thinking-tags.ts";
import { xmlArguments } from "./xml-arguments.ts";
import { readXmlCall, XML } from "./xml-call.ts";

export const format: ChatFormat = {
  ...qwen3,
  name: "qwen3-coder",
  calls: {
    ...HERMES_CALLS,
    begin: (name) => `${TOOL_CALL.open}\n${XML.function}${name}>\n`,
    end: `${XML.functionEnd}\n${TOOL_CALL.close}`,
    argumentsOf: xmlArguments,
    anyArguments: { type: "any_text" },
  },
  parser: ({ tools, startsThinking, schemas }) => {
    const readCall: CallBody = function* (text, parts) {
      yield* text.space();
      if ((yield* text.peek()) === "{") return yield* readHermesBody(text, parts);
      return yield* readXmlCall(text, parts, (name) => schemas?.get(name));
    };
    return parserOf(function* (text, parts) {
      yield* readThinking(text, parts, THINK, startsThinking);
      if (tools) yield* readTaggedCalls(text, parts, readCall, XML.function);
      else yield* readContent(text, parts);
    });
  },
};
