// The AI SDK over the demo model: one engine, on the reference device.

import {
  cosineSimilarity,
  embed,
  embedMany,
  generateObject,
  generateText,
  jsonSchema,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { weft } from "../../ai-sdk.ts";
import { createEngine, type Engine } from "../../node.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ model: "demo", device: "reference" });
});
afterAll(() => engine.close());

const SORT = "Sort these words: pear, wolf, apple";
const greedy = { prompt: SORT, temperature: 0 };

test("generateText answers", async () => {
  const { text, finishReason, usage } = await generateText({ model: weft(engine)(), ...greedy });
  expect([text.trim(), finishReason]).toEqual(["Sorted: apple, pear, wolf", "stop"]);
  expect(usage.outputTokens).toBeGreaterThan(4);
});

test("streamText streams the same", async () => {
  const { textStream } = streamText({ model: weft(engine)(), ...greedy });
  const pieces: string[] = [];
  for await (const piece of textStream) pieces.push(piece);
  expect(pieces.length).toBeGreaterThan(4);
  expect(pieces.join("").trim()).toBe("Sorted: apple, pear, wolf");
});

test("thinking comes apart from the answer", async () => {
  const { text, reasoningText, usage } = await generateText({
    ...{ model: weft(engine)(), prompt: "What is 47 + 38?", temperature: 0 },
  });
  expect(text).toBe("47 + 38 = 85");
  expect(reasoningText).toMatch(/7|8/);
  expect(usage.outputTokenDetails.reasoningTokens).toBeGreaterThan(3);
});

test("tools are called, and their results are heard", async () => {
  const asked: unknown[] = [];
  const get_weather = tool({
    description: "Get the current weather in a city.",
    // As the demo model has learnt them.
    inputSchema: jsonSchema<{ city: string }>({
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    }),
    async execute(input) {
      asked.push(input);
      return { weather: "rainy", temperature: 12 };
    },
  });
  const asking = {
    ...{ model: weft(engine)(), prompt: "What is the weather in Oslo?", temperature: 0 },
    ...{ tools: { get_weather }, stopWhen: stepCountIs(3) },
  };
  const { text, steps } = await generateText(asking);
  expect(asked).toEqual([{ city: "Oslo" }]);
  expect(steps.map(({ finishReason }) => finishReason)).toEqual(["tool-calls", "stop"]);
  expect(text).toMatch(/rain|12/i);
  const streamed: string[] = [];
  for await (const { type } of streamText(asking).fullStream) streamed.push(type);
  expect(streamed).toEqual(
    expect.arrayContaining(["tool-input-start", "tool-call", "tool-result"]),
  );
  expect(asked).toHaveLength(2);
});

test("generateObject fits its schema", async () => {
  const { object, finishReason } = await generateObject({
    ...{ model: weft(engine)(), temperature: 0 },
    prompt: "Write JSON with the keys name and age. name is Anna, age is 31",
    schema: z.object({ name: z.string().max(20), age: z.number().int().min(0).max(150) }),
  });
  expect([object, finishReason]).toEqual([{ name: "Anna", age: 31 }, "stop"]);
  const { object: kind } = await generateObject({
    ...{ model: weft(engine)(), temperature: 0, output: "enum", enum: ["fruit", "animal"] },
    prompt: "What is a wolf?",
  });
  expect(["fruit", "animal"]).toContain(kind);
});

test("embed and embedMany give vectors of length 1, in order", async () => {
  const model = weft(engine).embeddingModel();
  const values = ["pear", "wolf", "apple"];
  const { embeddings, usage } = await embedMany({ model, values });
  const { embedding } = await embed({ model, value: "wolf" });
  expect(embeddings).toHaveLength(3);
  expect(cosineSimilarity(embeddings[1], embedding)).toBeCloseTo(1, 5);
  expect(cosineSimilarity(embeddings[0], embedding)).toBeLessThan(0.999);
  expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
  expect(usage.tokens).toBeGreaterThan(2);
});

test("an abort frees the request", async () => {
  const controller = new AbortController();
  const { fullStream } = streamText({
    ...{ model: weft(engine)(), abortSignal: controller.signal },
    prompt: "Tell me a story about a fox named Lily.",
  });
  let last = "";
  for await (const { type } of fullStream) {
    if (type === "text-delta") controller.abort();
    last = type;
  }
  expect(last).toBe("abort");
  await expect.poll(async () => (await engine.metrics()).now.running).toBe(0);
});
