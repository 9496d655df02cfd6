// Answers of a given form, by the demo model: always whole, in any company, and nobody else's change.

import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ChatCompletionRequest, ResponseFormat } from "../../index.ts";
import type { GenerateRequest } from "../../runtime/request.ts";
import { report, scale } from "../harness/soak.ts";
import { madeSchema, recursiveSchema } from "../runtime/constraint/schemas.ts";
import { shortestTokens } from "../runtime/constraint/shortest.ts";
import { randoms } from "../runtime/constraint/vocabularies.ts";
import { ask, randomIds, refused, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

const numSchemas = scale("constrained", 20, 300);
const openEngine = (folder: ReturnType<typeof demoFolder>) =>
  opener({ platform: nodePlatform, folder, device: "reference" });

let demo: Subject;
/** Less of the model, whose words matter less: it says anything that it may. */
let shallow: Subject;
beforeAll(async () => {
  demo = await openEngine(demoFolder())({});
  shallow = await openEngine(shallowFolder(demoFolder(), 2))({ maxRows: 8 });
});
afterAll(async () => {
  for (const { door } of [demo, shallow]) await door.close();
});

const chat = async (
  { door }: Subject,
  format: ResponseFormat,
  more: Partial<ChatCompletionRequest> = {},
) => {
  const messages = [{ role: "user", content: "Write JSON with the keys name and age." }];
  const request = { messages, response_format: format, max_tokens: 60, seed: 3, ...more };
  const { choices, usage } = await door.chat.completions.create(request);
  const [{ message, finish_reason: reason, logprobs }] = choices;
  return { content: message.content ?? "", message, reason, logprobs, usage, choices };
};

const jsonFormat = (schema: object): ResponseFormat => ({
  type: "json_schema",
  json_schema: { name: "made", schema: schema as Record<string, unknown> },
});
const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    age: { type: "integer", minimum: 0, maximum: 120 },
    tags: { type: "array", items: { enum: ["a", "b"] }, maxItems: 3 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};

function expectFit(schema: object, text: string): void {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  expect(ajv.validate(schema, JSON.parse(text)), `${text} of ${JSON.stringify(schema)}`).toBe(true);
}

test(`${numSchemas} schemas at any temperature, whole by the limit, beside free requests`, async () => {
  const free: GenerateRequest = {
    ...{ prompt: randomIds(12, 1), maxTokens: 24, ignoreEos: true, temperature: 1, seed: 5 },
  };
  const alone = (await ask(shallow.door, free)).ids;
  const waves: { tokens: number; ms: number }[] = [];
  for (let first = 0; first < numSchemas; first += 10) {
    const startMs = performance.now();
    const answers = Array.from({ length: Math.min(10, numSchemas - first) }, async (_, i) => {
      const random = randoms(first + i);
      const depth = Math.min(5, (first + i) % 7);
      const schema = first + i === 0 ? recursiveSchema : madeSchema(random, depth);
      const shortest = shortestTokens(shallow.engine.text.tokenizer, schema, random);
      const max_tokens = shortest + [0, 1, 7, 40][i % 4];
      const temperature = [0, 0.7, 1, 2.5, 100][i % 5];
      const more = { max_tokens, temperature, seed: i, reasoning_effort: null };
      const { content, reason, usage } = await chat(shallow, jsonFormat(schema), more);
      expect(reason, `${content} by ${max_tokens} of ${shortest}: ${JSON.stringify(schema)}`).toBe(
        "stop",
      );
      expectFit(schema, content);
      return usage.completion_tokens;
    });
    const beside = [ask(shallow.door, free), ask(shallow.door, free)];
    const tokens = await Promise.all(answers);
    for (const { ids } of await Promise.all(beside)) expect(ids).toEqual(alone);
    waves.push({
      tokens: tokens.reduce((sum, count) => sum + count, 0),
      ms: performance.now() - startMs,
    });
  }
  await settled(shallow);
  const sum = (of: (wave: (typeof waves)[0]) => number) =>
    waves.reduce((total, wave) => total + of(wave), 0);
  report("constrained", {
    numSchemas,
    tokens: sum(({ tokens }) => tokens),
    ms: sum(({ ms }) => ms),
  });
});

test("the demo model writes the JSON that it was asked for, and is not changed by being held to it", async () => {
  const messages = [
    { role: "user", content: "Write JSON with the keys name and age. name is Anna, age is 31" },
  ];
  const free = await demo.door.chat.completions.create({ messages, max_tokens: 40 });
  const held = await chat(demo, jsonFormat(person), { messages, max_tokens: 40 });
  expect(JSON.parse(held.content)).toEqual({ name: "Anna", age: 31 });
  expect(JSON.parse(held.content)).toEqual(JSON.parse(free.choices[0].message.content!));
});

test.each<[string, ResponseFormat, RegExp]>([
  ["any object", { type: "json_object" }, /^\{.*\}$/s],
  ["a pattern", { type: "regex", pattern: "[a-c]{3}-\\d{2,4}" }, /^[a-c]{3}-\d{2,4}$/],
  ["one of a list", { type: "choice", choices: ["red", "green", "blue"] }, /^(red|green|blue)$/],
  [
    "a grammar",
    { type: "grammar", grammar: 'root ::= "<" digit+ ">"\ndigit ::= [0-9]' },
    /^<\d+>$/,
  ],
])("%s", async (_, format, pattern) => {
  for (const [temperature, max_tokens] of [
    [0, 20],
    [1.5, 12],
    [3, 20],
  ] as const) {
    const { content, reason } = await chat(shallow, format, { temperature, max_tokens });
    expect(content).toMatch(pattern);
    expect(reason).toBe("stop");
  }
});

test("with penalties, logprobs and several answers: each is what it is alone", async () => {
  const format = jsonFormat(person);
  const settings = { temperature: 1.2, frequency_penalty: 0.7, repetition_penalty: 1.2 };
  const one = await chat(shallow, format, { ...settings, logprobs: true, top_logprobs: 2 });
  expect(one.logprobs!.content).toHaveLength(one.usage.completion_tokens);
  expect(one.logprobs!.content.map(({ token }) => token).join("")).toContain(one.content);
  const { choices } = await chat(shallow, format, { ...settings, n: 3, seed: 40 });
  for (const [i, { message }] of choices.entries()) {
    expectFit(person, message.content!);
    const alone = await chat(shallow, format, { ...settings, seed: 40 + i });
    expect(alone.content).toBe(message.content);
  }
});

test("thinking first, then the form, when the request says for how long", async () => {
  const more = { thinking_budget: 12, max_tokens: 90, temperature: 0 };
  const messages = [{ role: "user", content: "What is 47 + 38?" }];
  const sum = { type: "object", properties: { sum: { type: "integer" } }, required: ["sum"] };
  const { content, message } = await chat(demo, jsonFormat(sum), { ...more, messages });
  expect(message.reasoning_content).toMatch(/\d/);
  expectFit(sum, content);
});

test("a call that is required, with arguments that fit", async () => {
  const tools = [
    {
      type: "function",
      function: {
        name: "get_weather",
        parameters: {
          type: "object",
          properties: { city: { type: "string", maxLength: 10 } },
          required: ["city"],
          additionalProperties: false,
        },
      },
    },
  ];
  const messages = [{ role: "user", content: "Tell me a story about a fox." }];
  const how = { messages, tools, tool_choice: "required", max_tokens: 60, temperature: 1 } as const;
  const { message, reason } = await chat(demo, { type: "text" }, how);
  expect(reason).toBe("tool_calls");
  for (const call of message.tool_calls!) {
    expect(call.function.name).toBe("get_weather");
    expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) });
  }
});

test.each<[ResponseFormat, RegExp]>([
  [jsonFormat({ type: "object", not: {} }), /not/],
  [jsonFormat({ type: "array", uniqueItems: true }), /uniqueItems/],
  [jsonFormat({ $ref: "#/nowhere" }), /nowhere/],
  [{ type: "regex", pattern: "(?=a)b" }, /\?=|look/],
  [{ type: "grammar", grammar: 'root ::= "a' }, /line|column/],
])("%j is refused by name, and nothing is held", async (format, pattern) => {
  await refused(chat(shallow, format), "bad_request", pattern);
  await settled(shallow);
});

test("an abort while it is held to a form frees all", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const messages = [{ role: "user", content: "Hello" }];
  const request = { messages, response_format: jsonFormat(person), max_tokens: 400 };
  const stream = await shallow.door.chat.completions.create(
    { ...request, stream: true },
    { signal },
  );
  const ended = refused(
    (async () => {
      for await (const _ of stream) controller.abort();
    })(),
    "aborted",
  );
  await ended;
  await settled(shallow);
});
