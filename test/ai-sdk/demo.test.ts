// The AI SDK over the demo model: one engine, on the reference device.

import { generateText, streamText } from "ai";
import { afterAll, beforeAll, expect, test } from "vitest";
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
