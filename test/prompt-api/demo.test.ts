// Sessions of the Prompt API's shape over the demo model, on the reference device.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine } from "../../node.ts";
import { LocalLanguageModel, type LocalLanguageModelOptions } from "../../prompt-api.ts";

let engine: Engine;
beforeAll(async () => {
  const sizes = { maxRows: 4, maxTokensPerPlan: 64 };
  const probe = await createEngine({ model: "demo", device: "reference", ...sizes });
  const { weightBytes, activationBytes, kv } = probe.plan;
  await probe.close();
  // A context of some 230 tokens.
  const memoryBudgetBytes = weightBytes + activationBytes + 256 * kv.tokenBytes;
  engine = await createEngine({ model: "demo", device: "reference", ...sizes, memoryBudgetBytes });
});
afterAll(() => engine.close());

const create = (options: LocalLanguageModelOptions = {}) =>
  LocalLanguageModel.create({ engine, samplingMode: "most-predictable", ...options });
const SORT = "Sort these words: pear, wolf, apple";
const SORTED = "Sorted: apple, pear, wolf";
const WEATHER = {
  ...{ name: "get_weather", description: "Get the current weather in a city." },
  inputSchema: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
  },
};

describe("a session", () => {
  test("answers, whole and in pieces", async () => {
    const session = await create();
    expect((await session.prompt(SORT)).trim()).toBe(SORTED);
    const pieces: string[] = [];
    const reader = session.promptStreaming("Reverse: sun, box").getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      pieces.push(read.value);
    }
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("")).toMatch(/box, sun/);
    session.destroy();
  });

  test("remembers what was said", async () => {
    const session = await create({
      initialPrompts: [{ role: "user", content: "My dog is called Rex." }],
    });
    expect(await session.prompt("What is my dog called?")).toContain("Rex");
    const told = await create();
    await told.append([
      { role: "user", content: [{ type: "text", value: "My cat is called Tom." }] },
    ]);
    expect(await told.prompt("What is my cat called?")).toContain("Tom");
  });

  test("answers in the order in which it is asked", async () => {
    const session = await create();
    const answers = await Promise.all(
      [SORT, "Reverse: sun, box"].map((text) => session.prompt(text)),
    );
    expect(answers[0].trim()).toBe(SORTED);
    expect(answers[1]).toMatch(/box, sun/);
  });

  test("counts the tokens of its context", async () => {
    const session = await create();
    expect([session.contextUsage, session.contextWindow]).toEqual([0, engine.info.maxContext]);
    const measured = await session.measureContextUsage(SORT);
    expect(measured).toBeGreaterThan(5);
    await session.prompt(SORT);
    expect(session.contextUsage).toBeGreaterThan(measured);
  });

  test("goes on with an answer that was begun for it", async () => {
    const session = await create();
    const rest = await session.prompt([
      { role: "user", content: SORT },
      { role: "assistant", content: "Sorted: apple,", prefix: true },
    ]);
    expect(rest).toBe(" pear, wolf");
  });

  test("answers in the form that is asked for", async () => {
    const session = await create();
    const schema = {
      type: "object",
      properties: { name: { type: "string", maxLength: 12 }, age: { type: "integer" } },
      required: ["name", "age"],
      additionalProperties: false,
    };
    const text = "Write JSON with the keys name and age. name is Anna, age is 31";
    const quiet = { responseConstraint: schema, omitResponseConstraintInput: true };
    expect(JSON.parse(await session.prompt(text, quiet))).toEqual({ name: "Anna", age: 31 });
    const more = { responseConstraint: schema };
    expect(await session.measureContextUsage(text, more)).toBeGreaterThan(
      await session.measureContextUsage(text, quiet),
    );
    const pattern = /^(fruit|animal)$/;
    const word = await (await create()).prompt("What is a wolf?", { responseConstraint: pattern });
    expect(word).toMatch(pattern);
    await expect(session.prompt("Hi", { responseConstraint: /a/i })).rejects.toMatchObject({
      name: "NotSupportedError",
    });
    const unknown = { responseConstraint: { type: "string", not: { const: "x" } } };
    await expect(session.prompt("Hi", unknown)).rejects.toMatchObject({
      ...{ name: "NotSupportedError", message: expect.stringContaining("not") },
    });
  });

  test("and its clone go their own ways", async () => {
    const session = await create();
    await session.append("My dog is called Rex.");
    const clone = await session.clone();
    session.destroy();
    expect(await clone.prompt("What is my dog called?")).toContain("Rex");
    await expect(session.prompt("Hi")).rejects.toMatchObject({ name: "InvalidStateError" });
  });

  test("calls the tools that it was given", async () => {
    const asked: unknown[] = [];
    const execute = async (input: unknown) => {
      asked.push(input);
      return JSON.stringify({ weather: "rainy", temperature: 12 });
    };
    const session = await create({ tools: [{ ...WEATHER, execute }] });
    const text = await session.prompt("What is the weather in Oslo?");
    expect(asked).toEqual([{ city: "Oslo" }]);
    expect(text).toMatch(/rain|12/i);
  });
});

describe("a context that is too small", () => {
  test("forgets the oldest turns, and says so", async () => {
    const session = await create({
      initialPrompts: [{ role: "system", content: "You are a helpful assistant." }],
    });
    let overflows = 0;
    session.oncontextoverflow = () => {
      overflows += 1;
    };
    for (let i = 0; i < 8; i++) {
      await session.prompt(SORT);
      expect(session.contextUsage).toBeLessThanOrEqual(session.contextWindow);
    }
    expect(overflows).toBeGreaterThan(0);
  });

  test("refuses what never fits, and forgets nothing for it", async () => {
    const session = await create();
    await session.prompt(SORT);
    const before = session.contextUsage;
    const long = session.prompt("pear ".repeat(400));
    await expect(long).rejects.toMatchObject({
      ...{ name: "QuotaExceededError", requested: expect.any(Number), quota: expect.any(Number) },
    });
    expect(session.contextUsage).toBe(before);
    const created = create({ initialPrompts: [{ role: "system", content: "x ".repeat(400) }] });
    await expect(created).rejects.toMatchObject({ name: "QuotaExceededError" });
  });
});

describe("errors", () => {
  test("an abort has its own reason, and is not remembered", async () => {
    const session = await create();
    const controller = new AbortController();
    const stream = session.promptStreaming("Tell me a story about a fox named Lily.", {
      signal: controller.signal,
    });
    const reader = stream.getReader();
    await reader.read();
    controller.abort();
    const rest = (async () => {
      while (!(await reader.read()).done);
    })();
    await expect(rest).rejects.toMatchObject({ name: "AbortError" });
    expect(session.contextUsage).toBe(0);
    const aborted = session.prompt(SORT, { signal: AbortSignal.abort("enough") });
    await expect(aborted).rejects.toBe("enough");
    await expect.poll(async () => (await engine.gauges()).running).toBe(0);
  });

  test("a reader that leaves ends the answer", async () => {
    const session = await create();
    const reader = session.promptStreaming("Tell me a story about a fox named Lily.").getReader();
    await reader.read();
    await reader.cancel();
    await expect.poll(async () => (await engine.gauges()).running).toBe(0);
    expect((await session.prompt(SORT)).trim()).toBe(SORTED);
  });

  test("what is under way ends when the session is destroyed", async () => {
    const session = await create();
    const story = session.prompt("Tell me a story about a fox named Lily.");
    setTimeout(() => session.destroy(), 20);
    await expect(story).rejects.toMatchObject({ name: "AbortError" });
  });

  test.each<[string, unknown]>([
    ["NotSupportedError", [{ role: "user", content: [{ type: "image", value: "x" }] }]],
    ["SyntaxError", [{ role: "user", content: "x", prefix: true }]],
    ["TypeError", [{ role: "system", content: "x" }]],
    ["TypeError", [{ role: "robot", content: "x" }]],
    ["TypeError", 3],
  ])("%s for %j", async (name, input) => {
    const session = await create();
    await expect(session.prompt(input as string)).rejects.toMatchObject({ name });
  });

  test("of creation", async () => {
    await expect(create({ topK: 3 })).rejects.toThrow(TypeError);
    await expect(create({ samplingMode: "wild" as never })).rejects.toThrow(TypeError);
    await expect(create({ expectedInputs: [{ type: "image" }] })).rejects.toMatchObject({
      name: "NotSupportedError",
    });
    await expect(LocalLanguageModel.create()).rejects.toThrow(TypeError);
    await expect(create({ engine: Promise.resolve(engine) as never })).rejects.toThrow(/await it/);
    await expect(create({ tools: [{ name: "look" }] as never })).rejects.toThrow(/and execute/);
    // Node has no workers of pages.
    await expect(LocalLanguageModel.create({ model: "demo" })).rejects.toMatchObject({
      ...{ name: "OperationError", message: expect.stringMatching(/weft-llm\/node/) },
    });
  });

  test("of a tool are the caller's", async () => {
    const execute = () => Promise.reject(new Error("no network"));
    const session = await create({ tools: [{ ...WEATHER, execute }] });
    await expect(session.prompt("What is the weather in Oslo?")).rejects.toThrow("no network");
  });
});

test("availability", async () => {
  const available = LocalLanguageModel.availability;
  expect(await available({ engine })).toBe("available");
  expect(await available({ engine, expectedInputs: [{ type: "audio" }] })).toBe("unavailable");
  expect(await available({ model: "https://example.org/m" })).toBe("unavailable");
  expect(await available({})).toBe("unavailable");
});

test("a monitor hears of the beginning and of the end", async () => {
  const loaded: number[] = [];
  await create({
    monitor(monitor) {
      monitor.addEventListener("downloadprogress", (event) => loaded.push(event.loaded));
    },
  });
  expect(loaded).toEqual([0, 1]);
});
