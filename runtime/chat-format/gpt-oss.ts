/**
 * gpt-oss writes messages in OpenAI's harmony format: a header with a channel and perhaps a recipient,
 * `<|message|>`, the words, and a token that ends them. The channel `analysis` is thinking; what goes to
 * `functions.NAME` is a call; all else is content. Several messages of a kind are joined by an empty line.
 */

import type { ChatFormat, ReasoningEffort, ThinkingSyntax } from "./chat-format.ts";
import { type IncomingText, parserOf, type Reading } from "./incoming-text.ts";
import { readJson } from "./json-reader.ts";
import { oneCallPerMessage } from "./one-call-messages.ts";
import type { PartWriter } from "./part-writer.ts";
import type { TemplateMessage } from "./template-message.ts";

const MESSAGE = "<|message|>";
const START = "<|start|>";
const CHANNEL = "<|channel|>";
/** The last two begin the next message, where this one's end was left out. */
const ENDS = ["<|end|>", "<|call|>", "<|return|>", START, CHANNEL];
const HEADER_STARTS = [START, CHANNEL, MESSAGE, "<|constrain|>", "assistant", "to="];

const CHANNELS = ["analysis", "commentary", "final"];
const OTHERS = /^<\|start\|>(?!assistant)/;
/** A header whose words are none of the answer's. */
const HEADER =
  /^(<\|start\|>)?(assistant)?(\s*to=\S+)?\s*(<\|channel\|>\s*(analysis|commentary|final))?(\s+to=\S+)?\s*(<\|constrain\|>)?\s*(json|code|text)?\s*<\|message\|>$/;

const THINKING: ThinkingSyntax = {
  open: `${CHANNEL}analysis${MESSAGE}`,
  close: "<|end|>",
  cut: `<|end|>${START}assistant${CHANNEL}final${MESSAGE}`,
  cutToCall: `<|end|>${START}assistant`,
};

function* readMessages(text: IncomingText, parts: PartWriter, tools: boolean): Reading {
  const said = { reasoning: false, content: false };
  while ((yield* text.peek()) !== "") {
    const header = yield* readHeader(text, parts);
    if (header === undefined) return;
    const recipient = /(?:^|\s|assistant)to=([^\s<]+)/.exec(header)?.[1];
    const kind = /<\|channel\|>\s*analysis/.test(header) ? "reasoning" : "content";
    const isCall = recipient !== undefined && !OTHERS.test(header) && tools;
    if (isCall && (yield* readCall(text, parts, recipient))) continue;
    let joint = said[kind] ? "\n\n" : "";
    const give = (piece: string) => {
      if (piece === "") return;
      parts[kind](joint + piece);
      joint = "";
      said[kind] = true;
    };
    // A call that is none, words in another's name, or words where none belong.
    if (recipient || (header !== "" && !HEADER.test(header))) give(header);
    yield* readBody(text, give);
  }
}

/** Through `<|message|>`; "" where words begin without one; undefined at the end of a text that stops within it. */
function* readHeader(text: IncomingText, parts: PartWriter): Reading<string | undefined> {
  const space = yield* text.space();
  let starts = false;
  for (const header of HEADER_STARTS) starts ||= yield* text.startsWith(header);
  if (!starts) {
    text.rest = space + text.rest;
    return "";
  }
  let header = "";
  const found = yield* text.until([MESSAGE], (piece) => {
    header += piece;
  });
  if (found) return header + found.space + found.marker;
  // Nothing is lost with a header that names no recipient.
  const word = header
    .replace(/<\|\w+\|>/g, " ")
    .replace(/^\s*assistant/, "")
    .trim();
  if (!CHANNELS.some((channel) => channel.startsWith(word))) parts.content(header);
  return undefined;
}

/** @returns There is a call; else nothing was taken but whitespace. */
function* readCall(text: IncomingText, parts: PartWriter, recipient: string): Reading<boolean> {
  const space = yield* text.space();
  const next = yield* text.peek();
  let empty = next === "";
  for (const end of ENDS) empty ||= yield* text.startsWith(end);
  if (next !== "{" && !empty) {
    text.rest = space + text.rest;
    return false;
  }
  parts.call(recipient.replace(/^functions\./, ""));
  if (empty) parts.callArguments("{}");
  else yield* readJson(text, (piece) => parts.callArguments(piece), "<|");
  yield* text.space();
  yield* readBody(text, (piece) => parts.content(piece));
  return true;
}

function* readBody(text: IncomingText, give: (piece: string) => void): Reading {
  const end = yield* text.until(ENDS, give);
  if (end?.marker === START || end?.marker === CHANNEL) text.rest = end.marker + text.rest;
}

/** Its template reads `thinking`, and where there is a call takes either that or content. */
function thinkingAsItsTemplateReads({
  reasoning_content: thinking,
  ...message
}: TemplateMessage): TemplateMessage {
  if (!thinking) return message;
  if (!message.tool_calls || !message.content) return { ...message, thinking };
  return { ...message, content: "", thinking: `${thinking}\n\n${message.content}` };
}

const EFFORT: Readonly<Record<ReasoningEffort, string>> = {
  // It always thinks.
  none: "low",
  minimal: "low",
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "high",
  max: "high",
};

export const format: ChatFormat = {
  name: "gpt-oss",
  calls: {
    trigger: " to=functions.",
    open: `${CHANNEL}commentary`,
    close: "",
    begin: (name) => ` to=functions.${name} <|constrain|>json${MESSAGE}`,
    end: "",
  },
  thinking: THINKING,
  readsSpecialTokens: true,
  markers: [...ENDS, MESSAGE, "<|constrain|>"],
  startsThinking: (prompt) => prompt.endsWith(THINKING.open),
  templateVariables: ({ reasoningEffort: effort }) =>
    effort === undefined ? {} : { reasoning_effort: EFFORT[effort] },
  templateMessages: (messages) => oneCallPerMessage(messages).map(thinkingAsItsTemplateReads),
  parser: ({ tools, startsThinking }) =>
    parserOf(function* (text, parts) {
      if (startsThinking) text.rest = THINKING.open + text.rest;
      yield* readMessages(text, parts, tools);
    }),
};
