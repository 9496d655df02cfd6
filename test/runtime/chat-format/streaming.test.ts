import { expect, it } from "vitest";
import { CHAT_FORMATS } from "../../../runtime/chat-format/chat-format.ts";
import { loadChatFormat } from "../../../runtime/chat-format/load-chat-format.ts";
import { joined } from "./read-answer.ts";

const formats = await Promise.all(CHAT_FORMATS.map(loadChatFormat));

it.each(formats)("$name: words come as they are said", (format) => {
  const words = "It rains (5 < 6) in Oslo, <b>so</b> [take] {an umbrella}; then | go.";
  const parser = format.parser({ tools: true, startsThinking: false });
  let said = "";
  let given = "";
  for (const letter of words) {
    said += letter;
    for (const part of parser.push(letter)) given += part.type === "content" ? part.text : "";
    // A space may stand before a marker, and a bracket may begin one.
    const held = said.slice(given.length);
    expect(said.startsWith(given)).toBe(true);
    expect(held).toMatch(/^\s*([<[]\|?|to?=?|a)?$/);
  }
  const rest = parser.flush();
  expect(given + (joined(rest).content ?? "")).toBe(words);
});

const CALLS: readonly (readonly [string, string])[] = [
  ["hermes", '<tool_call>\n{"name": "f", "arguments": '],
  ["qwen3", '<think>a</think><tool_call>\n{"name": "f", "arguments": '],
  ["llama3", '{"name": "f", "parameters": '],
  ["mistral", '[TOOL_CALLS] [{"name": "f", "arguments": '],
  ["mistral-v11", "[TOOL_CALLS]f[ARGS]"],
  ["magistral", "[TOOL_CALLS]f[ARGS]"],
  ["gpt-oss", "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"],
];

it.each(CALLS)("%s: arguments come as they are written", async (name, begin) => {
  const format = formats.find((one) => one.name === name)!;
  const parser = format.parser({ tools: true, startsThinking: false });
  const opened = joined([...begin].flatMap((letter) => parser.push(letter)));
  let given = "";
  let said = "";
  for (const letter of '{"text": "a } b", "n": [1, 2]}') {
    said += letter;
    for (const part of parser.push(letter)) {
      given += part.type === "tool_arguments" ? part.text : "";
    }
    // A bracket may begin the marker of the next call.
    expect([said, said.replace(/\[$/, "")]).toContain(given);
  }
  expect(opened.content).toBeUndefined();
});

it("a text in XML comes as it is written", () => {
  const format = formats.find(({ name }) => name === "qwen3-coder")!;
  const parser = format.parser({ tools: true, startsThinking: false });
  parser.push("<tool_call>\n<function=write>\n<parameter=text>\n");
  const parts = ["One", " two", " <b>", " three"].map(
    (piece) =>
      joined([{ type: "tool_call", index: 0, id: "", name: "" }, ...parser.push(piece)])
        .calls?.[0][1],
  );
  expect(parts).toEqual(["One", " two", " <b>", " three"]);
});

it.each([
  ["hermes", /^call_[A-Za-z0-9]{24}$/],
  ["gpt-oss", /^call_[A-Za-z0-9]{24}$/],
  ["mistral", /^[A-Za-z0-9]{9}$/],
] as const)("%s: every call has an id of its own", async (name, shape) => {
  const [, begin] = CALLS.find(([one]) => one === name)!;
  const format = formats.find((one) => one.name === name)!;
  const ids = Array.from({ length: 50 }, () => {
    const parser = format.parser({ tools: true, startsThinking: false });
    const [call] = parser.push(`${begin}{}`);
    if (call.type !== "tool_call") throw new Error(call.type);
    return call.id;
  });
  for (const id of ids) expect(id).toMatch(shape);
  expect(new Set(ids).size).toBe(ids.length);
});

it("mistral: an id that the model gives is the call's", () => {
  const format = formats.find(({ name }) => name === "mistral-v11")!;
  const parser = format.parser({ tools: true, startsThinking: false });
  const [call] = parser.push("[TOOL_CALLS]f[CALL_ID]abcDEF123[ARGS]{}");
  expect(call).toEqual({ type: "tool_call", index: 0, id: "abcDEF123", name: "f" });
});
