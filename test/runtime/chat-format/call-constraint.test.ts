import Ajv from "ajv";
import { beforeAll, describe, expect, it } from "vitest";
import { callConstraint } from "../../../runtime/chat-format/call-constraint.ts";
import type { ChatFormatName } from "../../../runtime/chat-format/chat-format.ts";
import { loadChatFormat } from "../../../runtime/chat-format/load-chat-format.ts";
import { toolUse } from "../../../runtime/chat-format/tools.ts";
import { scale } from "../../harness/soak.ts";
import { joined, readParts } from "./read-answer.ts";
import { type Admitted, admitted } from "./xgrammar.ts";

const weather = {
  type: "object",
  properties: {
    city: { type: "string" },
    days: { type: "integer" },
    unit: { enum: ["C", "F"] },
    at: { type: "array", items: { $ref: "#/$defs/point" }, maxItems: 2 },
  },
  required: ["city"],
  additionalProperties: false,
  $defs: {
    point: {
      type: "object",
      properties: { x: { type: "boolean" } },
      required: ["x"],
      additionalProperties: false,
    },
  },
};
const tools = [
  {
    type: "function",
    function: { name: "get_weather", parameters: weather, strict: true },
  },
  { type: "function", function: { name: "stop" } },
];
const one = { type: "function", function: { name: "get_weather" } };

/** As each family's template writes calls into earlier turns: of `get_weather`, of both, and words around one. */
const WRITTEN: Readonly<Partial<Record<ChatFormatName, readonly [string, string, string?]>>> = {
  hermes: [
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}\n</tool_call>',
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>',
  ],
  llama3: [
    '{"name": "get_weather", "parameters": {"city": "Oslo", "days": 2}}',
    '{"name": "get_weather", "parameters": {"city": "Oslo"}}; {"name": "stop", "parameters": {}}',
  ],
  mistral: [
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}]',
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Oslo"}}, {"name": "stop", "arguments": {}}]',
  ],
  "mistral-v11": [
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo", "days": 2}',
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo"}[TOOL_CALLS]stop[ARGS]{}',
  ],
  magistral: [
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo", "days": 2}',
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo"}[TOOL_CALLS]stop[ARGS]{}',
  ],
  qwen3: [
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}\n</tool_call>',
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>',
  ],
  "qwen3-coder": [
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=stop>\n</function>\n</tool_call>",
  ],
  "gpt-oss": [
    '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Oslo", "days": 2}',
    "",
  ],
};

const schemas = new Map([["get_weather", weather]]);
const fits = new Ajv({ strict: false }).compile(weather);
let xgrammar: Admitted;
beforeAll(async () => {
  xgrammar = await admitted();
});

describe.each(Object.entries(WRITTEN) as [ChatFormatName, [string, string]][])(
  "%s",
  (name, [call, both]) => {
    const constraintOf = async (request: object) => {
      const constraint = callConstraint(toolUse({ tools, ...request }), await loadChatFormat(name));
      if (!constraint) throw new Error("no constraint");
      return constraint;
    };
    const refusal = async (request: object, text: string) =>
      xgrammar.refusal(await constraintOf(request), text);
    const read = async (text: string) =>
      joined(readParts(await loadChatFormat(name), [text], { schemas })).calls ?? [];

    it("a call that is required is one, as the family writes it", async () => {
      expect(await refusal({ tool_choice: "required" }, call)).toBeUndefined();
      expect(await refusal({ tool_choice: one }, call)).toBeUndefined();
      expect(await refusal({ tool_choice: "required" }, "Hello")).toBe(0);
      const [[called, args]] = await read(call);
      expect([called, JSON.parse(args)]).toEqual(["get_weather", { city: "Oslo", days: 2 }]);
    });

    it("several where they may be, one where that is asked for", async () => {
      if (both === "") return;
      expect(await refusal({ tool_choice: "required" }, both)).toBeUndefined();
      expect(await read(both)).toHaveLength(2);
      const single = { tool_choice: "required", parallel_tool_calls: false };
      expect(await refusal(single, both)).toBeLessThan(both.length);
      expect(await refusal({ tool_choice: one }, both)).toBeLessThan(both.length);
    });

    it("strict arguments fit where the model is free to call", async () => {
      expect(await refusal({}, "Hello {there}.")).toBeUndefined();
      expect(await refusal({}, call)).toBeUndefined();
      if (both) expect(await refusal({}, both)).toBeUndefined();
      const odd = call.replace(/"?city"?/, '"town"');
      expect(await refusal({}, odd)).toBeLessThan(odd.length);
    });

    it("either calls or an answer in a form", async () => {
      const format = await loadChatFormat(name);
      const lead = format.thinking?.cut.slice(format.thinking.cutToCall.length) ?? "";
      const forms = [
        [{ type: "json_schema", schema: weather }, '{"city": "Oslo"}'],
        [{ type: "json_object" }, '{"any": {}}'],
        [{ type: "choice", choices: ["yes", "no"] }, "no"],
        [{ type: "regex", pattern: "[ab]+" }, "ab"],
        [{ type: "grammar", grammar: 'root ::= "c" root | "d"' }, "ccd"],
      ] as const;
      for (const [answer, text] of forms) {
        const constraint = callConstraint(toolUse({ tools }), format, answer)!;
        expect(await xgrammar.refusal(constraint, lead + text)).toBeUndefined();
        expect(await xgrammar.refusal(constraint, call)).toBeUndefined();
        expect(await xgrammar.refusal(constraint, `${lead}Hello`)).toBe(lead.length);
        expect(joined(readParts(format, [lead + text]))).toEqual({ content: text });
      }
      const must = callConstraint(toolUse({ tools, tool_choice: one }), format, forms[0][0])!;
      expect(await xgrammar.refusal(must, `${lead}{"city"`)).toBeLessThan(lead.length + 3);
    });

    it("what may be said is read as calls whose arguments fit the schema", async () => {
      const constraint = await constraintOf({ tool_choice: one });
      const start = call.slice(0, call.indexOf("get_weather"));
      const random = sequence(name.length);
      let whole = 0;
      for (let i = 0; i < scale("chat-format", 4, 400); i++) {
        const text = await xgrammar.walk(constraint, start, random);
        if (text === undefined) continue;
        whole++;
        const calls = await read(text);
        expect(calls, text).toHaveLength(1);
        expect(calls[0][0], text).toBe("get_weather");
        expect(fits(JSON.parse(calls[0][1])), `${text} ${JSON.stringify(fits.errors)}`).toBe(true);
      }
      expect(whole).toBeGreaterThan(0);
    });

    it("behind thinking that was cut", async () => {
      const format = await loadChatFormat(name);
      if (!format.thinking) return;
      const { open, cut, cutToCall } = format.thinking;
      const called = joined(readParts(format, [`${open}Hm${cutToCall}${call}`], { schemas }));
      expect(called).toMatchObject({
        reasoning: "Hm",
        calls: [["get_weather", expect.anything()]],
      });
      const said = joined(readParts(format, [`${open}Hm${cut}Well.`]));
      expect(said).toEqual({ reasoning: "Hm", content: "Well." });
    });
  },
);

it("no constraint where the choice asks for nothing", async () => {
  const hermes = await loadChatFormat("hermes");
  const free = [tools[1]];
  expect(callConstraint(toolUse({}), hermes)).toBeUndefined();
  expect(callConstraint(toolUse({ tools: free }), hermes)).toBeUndefined();
  expect(callConstraint(toolUse({ tools, tool_choice: "none" }), hermes)).toBeUndefined();
  const single = toolUse({ tools: free, parallel_tool_calls: false });
  const once = callConstraint(single, hermes)!;
  const call = '<tool_call>\n{"name": "stop", "arguments": {"any": [1]}}\n</tool_call>';
  expect(await xgrammar.refusal(once, `Well. ${call}`)).toBeUndefined();
  expect(await xgrammar.refusal(once, `${call}\n${call}`)).toBe(call.length);
  const plain = await loadChatFormat("plain");
  expect(callConstraint(single, plain)).toBeUndefined();
});

it.each([
  ["none named", {}, ['{"a": [1]}', "{}"], ["3", "[]", "null"]],
  ["any object", { type: "object" }, ['{"a": [1]}', "{}"], ["3"]],
  ["none at all", null, ["{}"], ['{"a": 1}', "3"]],
  ["no others", { properties: { a: { type: "null" } } }, ["{}", '{"a": null}'], ['{"b": 1}']],
])("parameters: %s", async (_, parameters, fitting, odd) => {
  const given = [{ type: "function", function: { name: "f", parameters } }];
  const use = toolUse({ tools: given, tool_choice: "required" });
  const constraint = callConstraint(use, await loadChatFormat("hermes"))!;
  const call = (args: string) => `<tool_call>\n{"name": "f", "arguments": ${args}}\n</tool_call>`;
  for (const args of fitting) {
    expect(await xgrammar.refusal(constraint, call(args))).toBeUndefined();
  }
  for (const args of odd) {
    expect(await xgrammar.refusal(constraint, call(args))).toBeLessThan(call(args).length);
  }
});

it("parameters in XML that nothing names", async () => {
  const given = [{ type: "function", function: { name: "f", parameters: {} } }];
  const use = toolUse({ tools: given, tool_choice: "required" });
  const constraint = callConstraint(use, await loadChatFormat("qwen3-coder"))!;
  const call = (args: string) => `<tool_call>\n<function=f>\n${args}</function>\n</tool_call>`;
  for (const args of ["", "<parameter=a>\n1\n</parameter>\n"]) {
    expect(await xgrammar.refusal(constraint, call(args))).toBeUndefined();
  }
});

it("a call that must be cannot be asked of a family whose calls are not known", async () => {
  const plain = await loadChatFormat("plain");
  const must = () => callConstraint(toolUse({ tools, tool_choice: "required" }), plain);
  expect(must).toThrow(/^tool_choice is required, it must be auto or none with this model/);
  const strict = () => callConstraint(toolUse({ tools }), plain);
  expect(strict).toThrow(/^tools is strict, it must be without strict with this model/);
});

/** Numbers from 0 to below 1, the same for the same seed. */
function sequence(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
