// An answer that was begun goes on where it is, on the demo model and the reference device.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createEngine, type Engine } from "../../node.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ model: "demo", device: "reference" });
});
afterAll(() => engine.close());

async function answer(content: string, said?: string) {
  const begun = said === undefined ? [] : [{ role: "assistant", content: said }];
  const { choices } = await engine.chat.completions.create({
    messages: [{ role: "user", content }, ...begun],
    continue_final_message: said !== undefined,
    temperature: 0,
  });
  return choices[0].message;
}

test("the rest of an answer is what it would have been", async () => {
  const whole = "Sorted: apple, pear, wolf";
  const question = "Sort these words: pear, wolf, apple";
  expect((await answer(question)).content?.trim()).toBe(whole);
  for (const said of ["Sorted:", "Sorted: apple,", "Sorted: apple, pear,", whole]) {
    expect(said + (await answer(question, said)).content).toBe(whole);
  }
});

test("it does not think again", async () => {
  const question = "What is 47 + 38?";
  expect(await answer(question)).toMatchObject({
    ...{ content: "47 + 38 = 85", reasoning_content: expect.any(String) },
  });
  const { content, reasoning_content: thought } = await answer(question, "47 + 38 =");
  expect(content).toMatch(/^ \d+$/);
  expect(thought).toBeUndefined();
});

test.each([
  [[{ role: "user", content: "Hi" }]],
  [[{ role: "assistant", content: null, tool_calls: [] }]],
  ["none" as never],
])("there is nothing to go on with in %j", async (messages) => {
  const asked = engine.chat.completions.create({ messages, continue_final_message: true });
  await expect(asked).rejects.toMatchObject({ code: "bad_request" });
});
