// Tools through the door of an engine: what the demo model calls, and what it makes of the result. And what
// docs/ say that code prints, of tools and of answers of a form.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { ChatCompletionRequest } from "../../index.ts";
import { createEngine, type Engine } from "../../node.ts";
import { tinyModel } from "../cli/tiny-model.ts";
import { run, snippetsOf } from "./doc-snippets.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ model: "demo", device: "reference" });
});
afterAll(() => engine.close());

const tool = (name: string, description: string, properties: object) => ({
  type: "function" as const,
  function: {
    name,
    description,
    parameters: { type: "object", properties, required: Object.keys(properties) },
  },
});
const city = { city: { type: "string" } };
const tools = [
  tool("get_time", "Get the time in a city.", city),
  tool("get_weather", "Get the weather in a city.", city),
];
const question = { role: "user", content: "What time is it in Rome?" };
const request: ChatCompletionRequest = {
  messages: [question],
  tools,
  temperature: 0,
  max_tokens: 60,
};

test("a call is the whole answer, and its result leads to words", async () => {
  const { choices } = await engine.chat.completions.create(request);
  const { message, finish_reason } = choices[0];
  expect(finish_reason).toBe("tool_calls");
  expect(message.content).toBeNull();
  const [{ id, ...call }] = message.tool_calls!;
  expect(message.tool_calls).toHaveLength(1);
  expect(id).toMatch(/^call_\w{24}$/);
  expect(call).toEqual({
    type: "function",
    function: { name: "get_time", arguments: '{"city": "Rome"}' },
  });

  const result = { role: "tool", tool_call_id: id, content: '{"time": "14:10"}' };
  const { choices: then } = await engine.chat.completions.create({
    ...request,
    messages: [question, message, result],
  });
  expect(then[0].message.content).toBe("It is 14:10 in Rome.");
  expect(then[0].finish_reason).toBe("stop");
});

test("a streamed call arrives as deltas: its name, then its arguments piece by piece", async () => {
  const stream = await engine.chat.completions.create({ ...request, stream: true });
  const names: string[] = [];
  const pieces: string[] = [];
  const reasons: unknown[] = [];
  for await (const { choices } of stream) {
    const { delta, finish_reason } = choices[0];
    expect(delta.content).toBeUndefined();
    if (finish_reason) reasons.push(finish_reason);
    for (const { index, id, function: said } of delta.tool_calls ?? []) {
      expect(index).toBe(0);
      expect(id !== undefined).toBe(said.name !== undefined);
      if (said.name) names.push(said.name);
      if (said.arguments) pieces.push(said.arguments);
    }
  }
  expect(names).toEqual(["get_time"]);
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.join("")).toBe('{"city": "Rome"}');
  expect(reasons).toEqual(["tool_calls"]);
});

test("a call that is cut off keeps what was said of it", async () => {
  const { choices } = await engine.chat.completions.create({ ...request, max_tokens: 20 });
  const { message, finish_reason } = choices[0];
  expect(finish_reason).toBe("length");
  const said = message.tool_calls?.[0].function.arguments ?? message.content ?? "";
  expect('<tool_call>\n{"name": "get_time", "arguments": {"city": "Rome"}}').toContain(said);
  expect(said).not.toBe("");
});

const weather = { type: "function", function: { name: "get_weather" } } as const;

test.each([
  ["required, of a model that would rather talk", { tool_choice: "required" }],
  ["the one that is named", { tool_choice: weather }],
] as const)("a call that must be: %s", async (_, more) => {
  const messages = [{ role: "user", content: "Tell me a story about a fox." }];
  const asked = { ...request, ...more, messages, temperature: 1, seed: 3, n: 3 };
  const { choices } = await engine.chat.completions.create(asked);
  expect(choices).toHaveLength(3);
  for (const { message, finish_reason } of choices) {
    expect(finish_reason).toBe("tool_calls");
    expect(message.content).toBeNull();
    for (const { function: called } of message.tool_calls!) {
      if (more.tool_choice === weather) expect(called.name).toBe("get_weather");
      expect(tools.map((one) => one.function.name)).toContain(called.name);
      expect(JSON.parse(called.arguments)).toEqual({ city: expect.any(String) });
    }
    if (more.tool_choice === weather) expect(message.tool_calls).toHaveLength(1);
  }
});

test("calls or an answer in a form, as the model chooses", async () => {
  const { parameters: schema } = tools[0].function;
  const form = { type: "json_schema", json_schema: { name: "place", schema } } as const;
  const create = async (content: string) => {
    const messages = [{ role: "user", content }];
    const asked = { ...request, messages, response_format: form };
    return (await engine.chat.completions.create(asked)).choices[0];
  };
  const called = await create("What time is it in Rome?");
  expect(called.message.tool_calls?.[0].function.name).toBe("get_time");
  const said = await create("Write JSON with the key city. city is Anna");
  if (said.message.content === null) expect(said.message.tool_calls).not.toHaveLength(0);
  else expect(JSON.parse(said.message.content)).toHaveProperty("city");
});

test("tool_choice none: tools are not shown", async () => {
  const none = { ...request, tool_choice: "none" as const, max_tokens: 1 };
  const { usage } = await engine.chat.completions.create(none);
  const bare = { ...request, tools: undefined, max_tokens: 1 };
  const { usage: without } = await engine.chat.completions.create(bare);
  expect(usage.prompt_tokens).toBe(without.prompt_tokens);
});

test("messages and tools that mean nothing are refused by index and field", async () => {
  const create = (more: object) => engine.chat.completions.create({ ...request, ...more });
  const image = [{ type: "image_url", image_url: { url: "data:" } }];
  await expect(create({ messages: [question, { role: "user", content: image }] })).rejects.toThrow(
    /^messages\[1\]\.content\[0\]\.type is image_url, it must be text/,
  );
  await expect(create({ tools: [...tools, tools[0]] })).rejects.toThrow(
    /^tools\[2\]\.function\.name is get_time/,
  );
  await expect(create({ tools: [], tool_choice: "required" })).rejects.toThrow(
    /^tool_choice is required/,
  );
});

test("tools that the chat template has no place for are refused, and chatFormat says what it is", async () => {
  const plain = await createEngine({ model: tinyModel(), device: "reference" });
  try {
    const asked = plain.chat.completions.create(request);
    await expect(asked).rejects.toThrow(/^tools is .*, it must be left out with this model/);
  } finally {
    await plain.close();
  }
  const odd = { model: tinyModel(), device: "reference", chatFormat: "hermse" as never } as const;
  await expect(createEngine(odd)).rejects.toThrow(
    /^chatFormat is "hermse", it must be one of plain, /,
  );
});

test("a model that is made to think first calls behind it", async () => {
  const more = {
    tool_choice: "required",
    reasoning_effort: "low",
    parallel_tool_calls: false,
  } as const;
  const { choices } = await engine.chat.completions.create({ ...request, ...more });
  const { message, finish_reason } = choices[0];
  expect(message.reasoning_content).toMatch(/\S/);
  expect(message.tool_calls).toHaveLength(1);
  expect(JSON.parse(message.tool_calls![0].function.arguments)).toHaveProperty("city");
  expect(finish_reason).toBe("tool_calls");
});

test.each(["structured-output.md", "tools.md"].flatMap(snippetsOf))("$name", async (snippet) => {
  expect(snippet.says).not.toEqual([]);
  expect(await run(snippet.code, engine)).toEqual(snippet.says);
});
