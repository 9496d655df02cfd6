// The AI SDK's own functions over a scripted engine: what they ask for, and what they make of its answers.

import {
  generateObject,
  generateText,
  type ModelMessage,
  stepCountIs,
  streamText,
  type ToolSet,
  tool,
} from "ai";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { weft } from "../../ai-sdk.ts";
import { WeftError } from "../../index.ts";
import { type Scripted, ScriptedAnswers } from "../harness/scripted-answers.ts";

const always = (...script: Scripted[]) => new ScriptedAnswers(() => script);
const hello = () => always({ content: "Hel" }, { content: "lo" }, { finish: "stop" });

describe("a request", () => {
  test("has every setting that both know", async () => {
    const scripted = hello();
    await generateText({
      model: weft(scripted.engine)(),
      system: "Be brief.",
      prompt: "Hi",
      ...{ maxOutputTokens: 9, temperature: 0.5, topP: 0.9, topK: 4, seed: 3 },
      ...{ presencePenalty: 0.1, frequencyPenalty: 0.2, stopSequences: ["."] },
      providerOptions: { weft: { priority: "background", deadline_ms: 500, session: "s" } },
    });
    expect(scripted.asked).toEqual([
      {
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Hi" },
        ],
        ...{ max_completion_tokens: 9, temperature: 0.5, top_p: 0.9, top_k: 4, seed: 3 },
        ...{ presence_penalty: 0.1, frequency_penalty: 0.2, stop: ["."] },
        ...{ priority: "background", deadline_ms: 500, session: "s" },
        ...{ stream: true, stream_options: { include_usage: true } },
      },
    ]);
  });

  test("names a model where one is named", async () => {
    const scripted = hello();
    const model = weft(scripted.engine)("small");
    expect([model.provider, model.modelId]).toEqual(["weft", "small"]);
    await generateText({ model, prompt: "Hi" });
    expect(scripted.asked[0].model).toBe("small");
    expect(weft(scripted.engine)().modelId).toBe("scripted");
  });

  test("carries calls, their results and reasoning", async () => {
    const scripted = hello();
    const messages: ModelMessage[] = [
      { role: "user", content: "Weather?" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "Look it up." },
          { type: "tool-call", toolCallId: "1", toolName: "look", input: { city: "Oslo" } },
        ],
      },
      {
        role: "tool",
        content: [
          {
            ...{ type: "tool-result", toolCallId: "1", toolName: "look" },
            output: { type: "json", value: { sky: "blue" } },
          },
        ],
      },
    ];
    await generateText({ model: weft(scripted.engine)(), messages });
    expect(scripted.asked[0].messages).toEqual([
      { role: "user", content: "Weather?" },
      {
        ...{ role: "assistant", content: null, reasoning_content: "Look it up." },
        tool_calls: [
          { id: "1", type: "function", function: { name: "look", arguments: '{"city":"Oslo"}' } },
        ],
      },
      { role: "tool", tool_call_id: "1", name: "look", content: '{"sky":"blue"}' },
    ]);
  });

  test("with an image is refused, and says what to do", async () => {
    const scripted = hello();
    const image = { type: "image" as const, image: new Uint8Array([137, 80, 78, 71]) };
    const asking = generateText({
      model: weft(scripted.engine)(),
      messages: [{ role: "user", content: [{ type: "text", text: "What is this?" }, image] }],
    });
    await expect(asking).rejects.toThrow(/part of the type file \(image.*give them its text/);
    expect(scripted.asked).toEqual([]);
  });

  test("is warned about what Weft leaves out", async () => {
    const scripted = hello();
    const tools: ToolSet = {
      search: { type: "provider", id: "other.search", args: {} } as never,
    };
    const { warnings } = await generateText({
      ...{ model: weft(scripted.engine)(), prompt: "Hi", tools },
      providerOptions: { weft: { n: 3, prioritty: "agent", min_p: 0.1 }, other: { a: 1 } },
    });
    expect(warnings).toMatchObject([
      { type: "unsupported", feature: "tool other.search" },
      { type: "unsupported", feature: "providerOptions.weft.n" },
      {
        ...{ type: "unsupported", feature: "providerOptions.weft.prioritty" },
        details: expect.stringMatching(/no such field; there are .*priority/),
      },
    ]);
    expect(scripted.asked[0]).not.toHaveProperty("n");
    // A cluster that requests overflow to may know it.
    expect(scripted.asked[0]).toMatchObject({ prioritty: "agent", min_p: 0.1 });
  });
});

describe("an answer", () => {
  test("comes with its reasoning, usage, id and reason", async () => {
    const { engine } = always(
      ...[{ reasoning_content: "Hm" }, { reasoning_content: "." }, { content: "Yes" }],
      { finish: "length" },
    );
    const result = await generateText({ model: weft(engine)(), prompt: "Hi" });
    expect(result).toMatchObject({ text: "Yes", reasoningText: "Hm.", finishReason: "length" });
    expect(result.usage).toMatchObject({
      ...{ inputTokens: 7, outputTokens: 3, totalTokens: 10 },
      inputTokenDetails: { noCacheTokens: 3, cacheReadTokens: 4 },
      outputTokenDetails: { textTokens: 2, reasoningTokens: 1 },
    });
    const timestamp = new Date(1e12);
    expect(result.response).toMatchObject({ id: "chatcmpl-1", modelId: "m", timestamp });
  });

  test("is streamed part by part", async () => {
    const { engine } = always(
      { reasoning_content: "Hm." },
      { content: "See " },
      { content: "this" },
      ...callDeltas(0, "look", '{"city":', '"Oslo"}'),
      ...callDeltas(1, "now"),
      { finish: "tool_calls" },
    );
    const { stream } = await weft(engine)().doStream({ prompt: [] });
    const parts: Record<string, unknown>[] = [];
    for await (const part of stream) parts.push({ ...part });
    expect(
      parts.map(({ type, delta, toolName, input }) => said(type, delta ?? input ?? toolName)),
    ).toMatchInlineSnapshot(`
        [
          "stream-start",
          "response-metadata",
          "reasoning-start",
          "reasoning-delta Hm.",
          "reasoning-end",
          "text-start",
          "text-delta See ",
          "text-delta this",
          "text-end",
          "tool-input-start look",
          "tool-input-delta {"city":",
          "tool-input-delta "Oslo"}",
          "tool-input-end",
          "tool-call {"city":"Oslo"}",
          "tool-input-start now",
          "tool-input-end",
          "tool-call {}",
          "finish",
        ]
      `);
    expect(parts.at(-1)).toMatchObject({
      finishReason: { unified: "tool-calls", raw: "tool_calls" },
    });
  });

  test("calls tools until none is called any more", async () => {
    const scripted = new ScriptedAnswers((_, call) =>
      call === 0
        ? [...callDeltas(0, "weather", '{"city":"Oslo"}'), { finish: "tool_calls" }]
        : [{ content: "Rain." }, { finish: "stop" }],
    );
    const weather = tool({
      description: "The weather of a city",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => `rain in ${city}`,
    });
    const { text, steps } = await generateText({
      ...{ model: weft(scripted.engine)(), prompt: "Weather in Oslo?", tools: { weather } },
      toolChoice: { type: "tool", toolName: "weather" },
      prepareStep: ({ stepNumber }) => (stepNumber > 0 ? { toolChoice: "auto" } : {}),
      stopWhen: stepCountIs(3),
    });
    expect([text, steps.length]).toEqual(["Rain.", 2]);
    expect(scripted.asked[0]).toMatchObject({
      tools: [
        {
          type: "function",
          function: {
            ...{ name: "weather", description: "The weather of a city" },
            parameters: { type: "object", properties: { city: { type: "string" } } },
          },
        },
      ],
      tool_choice: { type: "function", function: { name: "weather" } },
    });
    expect(scripted.asked[1].messages.at(-1)).toMatchObject({
      ...{ role: "tool", tool_call_id: "call_0", content: "rain in Oslo" },
    });
  });

  test("is an object of its schema", async () => {
    const scripted = always({ content: '{"name":"Ada"}' }, { finish: "stop" });
    const schema = z.object({ name: z.string() });
    const model = weft(scripted.engine)();
    const { object } = await generateObject({ model, prompt: "Who?", schema, schemaName: "who" });
    expect(object).toEqual({ name: "Ada" });
    expect(scripted.asked[0].response_format).toMatchObject({
      type: "json_schema",
      json_schema: {
        ...{ name: "who", strict: true },
        schema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
      },
    });
    await generateObject({ model, prompt: "Who?", output: "no-schema" });
    expect(scripted.asked[1].response_format).toEqual({ type: "json_object" });
  });
});

describe("what goes wrong", () => {
  test("is thrown as it is, and not tried again", async () => {
    const error = new WeftError("request_too_long", "too long; shorten the prompt");
    const scripted = always(error);
    const asking = generateText({ model: weft(scripted.engine)(), prompt: "Hi" });
    await expect(asking).rejects.toBe(error);
    expect(scripted.asked).toHaveLength(1);
  });

  test("in mid-stream is a part of the stream", async () => {
    const error = new WeftError("device_lost", "gone");
    const { engine } = always({ content: "Hel" }, error);
    const seen: unknown[] = [];
    const result = streamText({
      ...{ model: weft(engine)(), prompt: "Hi" },
      onError: ({ error }) => void seen.push(error),
    });
    let text = "";
    for await (const part of result.fullStream) if (part.type === "text-delta") text += part.text;
    expect([text, seen]).toEqual(["Hel", [error]]);
  });

  test("in mid-answer rejects the call", async () => {
    const error = new WeftError("device_lost", "gone");
    const { engine } = always({ content: "Hel" }, error);
    await expect(generateText({ model: weft(engine)(), prompt: "Hi" })).rejects.toBe(error);
  });

  test("an abort is the AI SDK's own, and ends the request", async () => {
    const scripted = always({ content: "Hel" }, "forever");
    const controller = new AbortController();
    const aborts: unknown[] = [];
    const { fullStream } = streamText({
      ...{ model: weft(scripted.engine)(), prompt: "Hi", abortSignal: controller.signal },
      onAbort: ({ steps }) => void aborts.push(steps),
    });
    const types: string[] = [];
    for await (const { type } of fullStream) {
      types.push(type);
      if (type === "text-delta") controller.abort();
    }
    expect(types.at(-1)).toBe("abort");
    expect([aborts, scripted.numAbandoned]).toEqual([[[]], 1]);
    const asking = generateText({
      ...{ model: weft(scripted.engine)(), prompt: "Hi", abortSignal: AbortSignal.abort() },
    });
    await expect(asking).rejects.toMatchObject({ name: "AbortError" });
  });

  test("a reader that leaves ends the request", async () => {
    const scripted = always({ content: "Hel" }, "forever");
    const { stream } = await weft(scripted.engine)().doStream({ prompt: [] });
    const reader = stream.getReader();
    while ((await reader.read()).value?.type !== "text-delta");
    await reader.cancel();
    expect(scripted.numAbandoned).toBe(1);
  });

  test("an engine that was not awaited is told at once", () => {
    const engine = Promise.resolve(hello().engine) as never;
    expect(() => weft(engine)).toThrow(/engine is a promise.*await it first/);
  });

  test("there are no images", () => {
    expect(() => weft(hello().engine).imageModel("x")).toThrow(/no image model "x"/);
  });
});

const said = (type: unknown, what: unknown) => (what === undefined ? type : `${type} ${what}`);

/** As a model streams one call: its name first, then its arguments in pieces. */
const callDeltas = (index: number, name: string, ...pieces: string[]): Scripted[] => [
  {
    tool_calls: [
      { index, id: `call_${index}`, type: "function", function: { name, arguments: "" } },
    ],
  },
  ...pieces.map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] })),
];
