// Thinking that ends at its budget, and the answer that has its share all the same.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { ChatCompletionRequest } from "../../index.ts";
import { createEngine, type Engine } from "../../node.ts";
import { scale } from "../harness/soak.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ model: "demo", device: "reference" });
});
afterAll(() => engine.close());

/** Sums are what the demo model thinks about; the others it answers at once, unless it is made to think. */
const questions = (count: number) =>
  Array.from({ length: count }, (_, i) => {
    const [a, b] = [(i * 37) % 90, (i * 53 + 7) % 90];
    return [
      `What is ${a} + ${b}?`,
      "Tell me a story about a fox.",
      "Sort these words: pear, apple",
    ][i % 4 === 3 ? (i >> 2) % 3 : 0];
  });

const ask = async (content: string, more: Partial<ChatCompletionRequest>) => {
  const request = { messages: [{ role: "user", content }], temperature: 0.7, seed: 1, ...more };
  const { choices, usage } = await engine.chat.completions.create(request);
  return { ...choices[0], usage };
};

test("a model that thinks says so apart from its answer", async () => {
  const { message, usage } = await ask("What is 47 + 38?", { temperature: 0, max_tokens: 120 });
  expect(message.content).toBe("47 + 38 = 85");
  expect(message.reasoning_content).toMatch(/\d/);
  const thought = usage.completion_tokens_details!.reasoning_tokens;
  expect(thought).toBeGreaterThan(5);
  expect(thought).toBeLessThan(usage.completion_tokens);
});

test("a budget is kept to the token, and there is an answer in every case", async () => {
  const numPrompts = scale("thinking", 12, 100);
  const budgets = [0, 1, 3, 8, 17, 40];
  const answers = questions(numPrompts).map(async (content, i) => {
    const budget = budgets[i % budgets.length];
    const answer = await ask(content, { thinking_budget: budget, max_tokens: 90, seed: i });
    return { budget, ...answer };
  });
  for (const { budget, message, usage } of await Promise.all(answers)) {
    const { tokenizer } = engine.text;
    const thought = tokenizer.encode(message.reasoning_content ?? "", { addSpecialTokens: false });
    expect(thought.length).toBeLessThanOrEqual(budget + 1);
    expect(message.content).toMatch(/\S/);
    expect(usage.completion_tokens).toBeLessThanOrEqual(90);
  }
});

test("thinking that would fill all tokens is cut, so that the answer has its share", async () => {
  const long = { thinking_budget: 10_000, max_tokens: 24, temperature: 0 };
  const { message, usage } = await ask("What is 47 + 38?", long);
  expect(message.reasoning_content).not.toBe("");
  expect(message.content).toMatch(/\S/);
  expect(usage.completion_tokens_details!.reasoning_tokens).toBeLessThanOrEqual(18);
});

test("no effort is an answer at once; more effort is more thinking", async () => {
  const thought = async (effort: ChatCompletionRequest["reasoning_effort"]) => {
    const more = { reasoning_effort: effort, max_tokens: 48, temperature: 0 };
    const { message, usage } = await ask("What is 47 + 38?", more);
    expect(message.content).toMatch(/\S/);
    return usage.completion_tokens_details!.reasoning_tokens;
  };
  expect(await thought("none")).toBe(0);
  expect(await thought("minimal")).toBeLessThanOrEqual(3);
  expect(await thought("high")).toBeGreaterThan(await thought("minimal"));
});

test("the same request gives the same tokens alone and among others", async () => {
  const request = { thinking_budget: 8, max_tokens: 40, seed: 9 };
  const alone = await ask("What is 12 + 61?", request);
  const [beside] = await Promise.all([
    ask("What is 12 + 61?", request),
    ...questions(6).map((content) => ask(content, { max_tokens: 30 })),
  ]);
  expect(beside.message.content).toBe(alone.message.content);
  expect(beside.message.reasoning_content).toBe(alone.message.reasoning_content);
});

test.each([
  ["reasoning_effort", "much"],
  ["thinking_budget", -1],
  ["thinking_budget", 1.5],
])("%s %j is refused", async (name, value) => {
  const work = ask("Hello", { [name]: value, max_tokens: 4 });
  await expect(work).rejects.toMatchObject({ code: "bad_request", param: name });
});
