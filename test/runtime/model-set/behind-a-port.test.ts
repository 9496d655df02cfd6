// Several models behind a port: what crosses it, and whose users they are.

import { MessageChannel } from "node:worker_threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectEngine, type EngineApi, hostEngines } from "../../../node.ts";
import { tinyModel } from "../../cli/tiny-model.ts";

let engine: EngineApi;
beforeAll(async () => {
  engine = await connectEngine({
    connect() {
      const { port1, port2 } = new MessageChannel();
      hostEngines(port2);
      return port1;
    },
    device: "reference",
    models: { one: tinyModel(), two: { model: tinyModel(), maxRows: 2 } },
  });
});
afterAll(() => engine.close());

const messages = [{ role: "user", content: "Hi" }];

test("each answers by its name", async () => {
  for (const model of ["one", "two"]) {
    const request = { messages, model, max_tokens: 3, temperature: 0 };
    expect((await engine.chat.completions.create(request)).model).toBe(model);
    const embedded = await engine.embeddings.create({ model, input: "Hi" });
    expect(embedded.model).toBe(model);
  }
  const asked = engine.chat.completions.create({ messages, model: "three" });
  await expect(asked).rejects.toMatchObject({ code: "model_not_found" });
});

test("all are listed and measured", async () => {
  const { data } = await engine.models.list();
  expect(data.map(({ id, state }) => [id, state])).toEqual([
    ["one", "ready"],
    ["two", "ready"],
  ]);
  const { models } = await engine.metrics();
  expect(models).toMatchObject({ one: { loads: 1 }, two: { loads: 1, users: 0 } });
  expect((await engine.gauges("two")).running).toBe(0);
});

test("what cannot cross is refused by its path", async () => {
  const options = { connect: () => new MessageChannel().port1, models: { x: { model: () => {} } } };
  await expect(connectEngine(options as never)).rejects.toMatchObject({
    ...{ code: "bad_request", message: expect.stringContaining("models.x.model") },
  });
});
