// A chat stream as an object: what a reader that is no `for await` loop may do with it.

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEngine, type Engine } from "../../node.ts";

const messages = [{ role: "user", content: "Tell me a story about a fox named Lily." }];
let engine: Engine;
beforeAll(async () => {
  const model = fileURLToPath(new URL("../../assets/demo/", import.meta.url));
  engine = await createEngine({ model, device: "reference" });
});
afterAll(() => engine.close());

const idle = { sequences: 0, slots: 0, plans: 0, kv: [0] };

test("leaving before the first turn frees what the request holds", async () => {
  const { completions } = engine.chat;
  const stream = await completions.create({ messages, stream: true, max_tokens: 400 });
  expect(engine.loop.usage.sequences).toBe(1);
  await stream[Symbol.asyncIterator]().return?.();
  await expect.poll(() => engine.loop.usage).toEqual(idle);
});

test("reading by hand gives what a loop gives, then says that it is done", async () => {
  const { completions } = engine.chat;
  const iterator = (await completions.create({ messages, stream: true, max_tokens: 5 }))[
    Symbol.asyncIterator
  ]();
  let text = "";
  for (let turn = await iterator.next(); !turn.done; turn = await iterator.next()) {
    text += turn.value.choices[0].delta.content ?? "";
  }
  const whole = await completions.create({ messages, max_tokens: 5 });
  expect(text).toBe(whole.choices[0].message.content);
  expect((await iterator.next()).done).toBe(true);
});

test("a signal that is none is refused", async () => {
  const signal = "stop" as unknown as AbortSignal;
  const answer = engine.chat.completions.create({ messages }, { signal });
  await expect(answer).rejects.toMatchObject({
    code: "bad_request",
    message: /signal.*AbortSignal/,
  });
});
