/**
 * Mistral: `[TOOL_CALLS] [{"name": …, "arguments": {…}}, …]` of tokenizers up to v7, and
 * `[TOOL_CALLS]name[ARGS]{…}` from v11 on, perhaps with `[CALL_ID]id` between the two. Ids have nine letters
 * and digits, else the model's own template refuses them. Magistral thinks in `[THINK]…[/THINK]`.
 */
import { readCallObject } from "./call-object.ts";
import type { CallSyntax, ChatFormat, ThinkingSyntax } from "./chat-format.ts";
import { type IncomingText, parserOf, type Reading } from "./incoming-text.ts";
import { readJson } from "./json-reader.ts";
import { type PartWriter, randomLetters } from "./part-writer.ts";
import { readContent } from "./plain.ts";
import type { TemplateMessage } from "./template-message.ts";
import { endsOpen, readThinking } from "./thinking-tags.ts";

export const MISTRAL = { calls: "[TOOL_CALLS]", id: "[CALL_ID]", args: "[ARGS]" } as const;

const THINKING: ThinkingSyntax = {
  open: "[THINK]",
  close: "[/THINK]",
  cut: "[/THINK]",
  cutToCall: "[/THINK]",
};

function* readMistral(text: IncomingText, parts: PartWriter): Reading {
  for (;;) {
    const found = yield* text.until([MISTRAL.calls], (piece) => parts.content(piece));
    if (!found) return;
    text.record();
    yield* text.space();
    const isList = (yield* text.peek()) === "[";
    const isCall = yield* isList ? readList(text, parts) : readNamed(text, parts);
    const taken = text.recorded();
    if (!isCall) parts.content(found.space + found.marker + taken);
    else yield* text.spaceBehindCall(parts.hasContent);
  }
}

/** Calls in an array. What follows the first that is none is content. */
function* readList(text: IncomingText, parts: PartWriter): Reading<boolean> {
  text.take(1);
  if (!(yield* readCallObject(text, parts))) return false;
  for (;;) {
    text.record();
    yield* text.space();
    const next = yield* text.peek();
    if (next === "]") text.take(1);
    if (next !== ",") return true;
    text.take(1);
    if (!(yield* readCallObject(text, parts))) {
      parts.content(text.recorded());
      return true;
    }
  }
}

function* readNamed(text: IncomingText, parts: PartWriter): Reading<boolean> {
  const name = yield* text.run(/[^\s[{]/);
  if (name === "") return false;
  yield* text.space();
  let id: string | undefined;
  if (yield* text.startsWith(MISTRAL.id)) {
    text.take(MISTRAL.id.length);
    id = yield* text.run(/[A-Za-z0-9]/);
    if (id.length !== 9) return false;
  }
  if (yield* text.startsWith(MISTRAL.args)) text.take(MISTRAL.args.length);
  yield* text.space();
  if ((yield* text.peek()) !== "{") return false;
  parts.call(name, id);
  text.recorded();
  yield* readJson(text, (piece) => parts.callArguments(piece), MISTRAL.calls);
  return true;
}

const LIST: CallSyntax = {
  trigger: MISTRAL.calls,
  open: `${MISTRAL.calls} [`,
  close: "]",
  separator: ", ",
  begin: (name) => `{"name": ${JSON.stringify(name)}, "arguments": `,
  end: "}",
};

const ONE_BY_ONE: CallSyntax = {
  trigger: MISTRAL.calls,
  open: MISTRAL.calls,
  close: "",
  separator: MISTRAL.calls,
  begin: (name) => name + MISTRAL.args,
  end: "",
};

/** The template refuses other ids, such as those of other families: they are renamed, the same to the same. */
function withShortIds(messages: readonly TemplateMessage[]): TemplateMessage[] {
  const names = new Map<string, string>();
  const short = (id: string): string => {
    if (/^[A-Za-z0-9]{9}$/.test(id)) return id;
    const name = names.get(id) ?? `call${String(names.size).padStart(5, "0")}`;
    names.set(id, name);
    return name;
  };
  return messages.map((message) => {
    const { tool_calls: calls, tool_call_id: id } = message;
    return {
      ...message,
      ...(calls && {
        tool_calls: calls.map((call, i) => ({ ...call, id: short(call.id ?? `${i}`) })),
      }),
      ...(id !== undefined && { tool_call_id: short(id) }),
    };
  });
}

const mistral = (
  name: ChatFormat["name"],
  calls: CallSyntax,
  thinking?: ThinkingSyntax,
): ChatFormat => ({
  name,
  thinking,
  calls,
  readsSpecialTokens: true,
  markers: [...Object.values(MISTRAL), ...(thinking ? [thinking.open, thinking.close] : [])],
  startsThinking: (prompt) => thinking !== undefined && endsOpen(prompt, thinking),
  templateVariables: ({ reasoningEffort: effort }) =>
    thinking && effort !== undefined
      ? { reasoning_effort: effort === "none" ? "none" : "high" }
      : {},
  templateMessages: withShortIds,
  parser: ({ tools, startsThinking }) =>
    parserOf(
      function* (text, parts) {
        if (thinking) yield* readThinking(text, parts, thinking, startsThinking);
        yield* tools ? readMistral(text, parts) : readContent(text, parts);
      },
      () => randomLetters(9),
    ),
});

export const mistralFormats = {
  mistral: mistral("mistral", LIST),
  "mistral-v11": mistral("mistral-v11", ONE_BY_ONE),
  magistral: mistral("magistral", ONE_BY_ONE, THINKING),
};
