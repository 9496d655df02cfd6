/**
 * Llama 3.1 to 3.3: the answer is `{"name": …, "parameters": {…}}`, or several with `;` between them, with
 * or without `<|python_tag|>` before them. JSON in mid-text is content, and so is Python code.
 */
import { readCallObject } from "./call-object.ts";
import type { ChatFormat } from "./chat-format.ts";
import { type IncomingText, parserOf, type Reading } from "./incoming-text.ts";
import { oneCallPerMessage } from "./one-call-messages.ts";
import type { PartWriter } from "./part-writer.ts";
import { readContent } from "./plain.ts";

const PYTHON_TAG = "<|python_tag|>";

function* readLlama3(text: IncomingText, parts: PartWriter): Reading {
  yield* readCalls(text, parts, yield* text.space());
  for (;;) {
    const found = yield* text.until([PYTHON_TAG], (piece) => parts.content(piece));
    if (!found) return;
    yield* readCalls(text, parts, found.space + found.marker + (yield* text.space()));
  }
}

/** @param before Content if there is no call behind it. */
function* readCalls(text: IncomingText, parts: PartWriter, before: string): Reading {
  for (;;) {
    if ((yield* text.peek()) !== "{") return parts.content(before);
    text.record();
    const isCall = yield* readCallObject(text, parts, { knownKeysOnly: true });
    const taken = text.recorded();
    if (!isCall) return parts.content(before + taken);
    const gap = yield* text.run(/[\s;,]/);
    if ((yield* text.peek()) !== "{") {
      if (text.rest !== "") text.rest = gap + text.rest;
      return;
    }
    before = gap;
  }
}

export const format: ChatFormat = {
  name: "llama3",
  calls: {
    trigger: '{"name": "',
    open: "",
    close: "",
    separator: "; ",
    begin: (name) => `{"name": ${JSON.stringify(name)}, "parameters": `,
    end: "}",
  },
  readsSpecialTokens: true,
  markers: [PYTHON_TAG],
  startsThinking: () => false,
  templateVariables: () => ({}),
  templateMessages: oneCallPerMessage,
  parser: ({ tools }) => parserOf(tools ? readLlama3 : readContent),
};
