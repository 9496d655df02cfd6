// Calls of tools as a constraint: each family's own way to write them, and free words around.

import { describe, expect, it } from "vitest";
import { callConstraint } from "../../../runtime/chat-format/call-constraint.ts";
import type { ChatFormatName } from "../../../runtime/chat-format/chat-format.ts";
import { loadChatFormat } from "../../../runtime/chat-format/load-chat-format.ts";
import { toolUse } from "../../../runtime/chat-format/tools.ts";
import type { ConstraintSpec } from "../../../runtime/constraint/constraint.ts";
import { ConstraintCompiler } from "../../../runtime/constraint/constraint-compiler.ts";
import { inThreadPort } from "../../../runtime/constraint/in-thread-port.ts";
import { accepts } from "./accepts.ts";

const parameters = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [
  { type: "function", function: { name: "weather", parameters, strict: true } },
  { type: "function", function: { name: "stop" } },
];

const CALLS: readonly (readonly [ChatFormatName, string, string])[] = [
  [
    "hermes",
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>',
    '<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>',
  ],
  [
    "llama3",
    '{"name": "weather", "parameters": {"city": "Oslo"}}',
    '; {"name": "stop", "parameters": {}}',
  ],
  ["mistral-v11", '[TOOL_CALLS]weather[ARGS]{"city": "Oslo"}', "[TOOL_CALLS]stop[ARGS]{}"],
  [
    "qwen3-coder",
    "<tool_call>\n<function=weather>\n<parameter=city>\nOs</param>lo\n</parameter>\n</function>\n</tool_call>",
    "<tool_call>\n<function=stop>\n</function>\n</tool_call>",
  ],
  [
    "gpt-oss",
    '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Oslo"}',
    "",
  ],
];

describe.each(CALLS)("%s", (name, call, second) => {
  const of = async (request: object) => {
    const constraint = callConstraint(toolUse({ tools, ...request }), await loadChatFormat(name));
    return accepts(constraint!);
  };

  it("a call that is required", async () => {
    const isText = await of({ tool_choice: "required" });
    expect(isText(call)).toBe(true);
    expect(isText(call.replace("weather", "wether"))).toBe(false);
    expect(isText(call.replaceAll("city", "town"))).toBe(false);
    expect(isText(`Well. ${call}`)).toBe(false);
    expect(isText("")).toBe(false);
  });

  it("calls, or an answer in a form", async () => {
    const format = await loadChatFormat(name);
    const lead = format.thinking?.cut.slice(format.thinking.cutToCall.length) ?? "";
    const forms: readonly (readonly [ConstraintSpec, string])[] = [
      [{ type: "json_schema", schema: parameters }, '{"city": "Oslo"}'],
      [{ type: "json_object" }, '{"any": {}}'],
      [{ type: "choice", choices: ["yes", "no"] }, "no"],
      [{ type: "regex", pattern: "[ab]+" }, "ab"],
      [{ type: "grammar", grammar: 'root ::= "c" root | one*\none ::= "d"' }, "ccdd"],
    ];
    for (const [answer, text] of forms) {
      const isText = accepts(callConstraint(toolUse({ tools }), format, answer)!);
      expect(isText(lead + text)).toBe(true);
      expect(isText(call)).toBe(true);
      expect(isText(`${lead}Hello`)).toBe(false);
      expect(isText(lead + text + call)).toBe(false);
    }
  });

  it("strict arguments among free words", async () => {
    const isText = await of({});
    expect(isText("Hello {there} <tool_cal to=function.")).toBe(true);
    expect(isText(`Well. ${call}`)).toBe(true);
    if (second)
      expect(
        isText(`${call}${name === "hermes" || name === "qwen3-coder" ? "\n" : ""}${second}`),
      ).toBe(true);
    expect(isText(call.replaceAll("city", "town"))).toBe(false);
  });
});

it("special tokens of the family are allowed, and no others", async () => {
  const texts = [..."<>_abcdefghijklmnopqrstuvwxyz", "<tool_call>", "<think>", "<end>"];
  const ids = new Map(texts.map((text, id) => [text, id]));
  const compiler = new ConstraintCompiler({
    tokenizer: {
      eosTokenIds: [ids.get("<end>")!],
      isSpecial: (id) => id < texts.length && texts[id].length > 1,
      idToBytes: (id) => (id < texts.length ? new TextEncoder().encode(texts[id]) : undefined),
      encode: () => [],
    },
    vocabSize: 40,
    dial: inThreadPort,
  });
  const constraint = await compiler.compile({
    type: "structural_tag",
    format: { type: "tag", begin: "<t", content: { type: "any_text" }, end: "<end>" },
    specialTokens: ["<tool_call>", "<end>"],
  });
  const may = async (tokens: number[]) => {
    const [mask] = (await constraint.advance(tokens, 100)).masks;
    return texts.filter((_, id) => ((mask![id >> 5] >>> (id & 31)) & 1) === 1);
  };
  expect(await may([])).toEqual(["<", "<tool_call>"]);
  // Thinking would have to be spelt; what ends an answer is no text.
  expect(await may([ids.get("<tool_call>")!])).toEqual(texts.slice(0, -2));
  compiler.close();
});
