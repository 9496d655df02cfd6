// Answers of a given form, by the demo model: always whole, in any company, and nobody else's change.

import { Ajv } from "ajv";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ChatCompletionRequest, ResponseFormat } from "../../index.ts";
import { createEngine, type Engine } from "../../node.ts";
import { randomIds, refused } from "./ask.ts";

let engine: Engine;
beforeAll(async () => {
  engine = (await createEngine({ model: "demo", device: "reference" })) as Engine;
});
afterAll(() => engine.close());

const ask = async (format: ResponseFormat, more: Partial<ChatCompletionRequest> = {}) => {
  const messages = [{ role: "user", content: "Write JSON with the keys name and age." }];
  const request = { messages, response_format: format, max_tokens: 60, seed: 3, ...more };
  const { choices, usage } = await engine.chat.completions.create(request);
  const [{ message, finish_reason: reason }] = choices;
  return { content: message.content ?? "", reason, usage };
};

const schema = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    age: { type: "integer", minimum: 0, maximum: 120 },
    tags: { type: "array", items: { enum: ["a", "b"] }, maxItems: 3 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};
const format: ResponseFormat = { type: "json_schema", json_schema: { name: "person", schema } };

test("a schema holds at any temperature", async () => {
  const fits = new Ajv().compile(schema);
  for (const temperature of [0, 1, 5]) {
    const { content, reason } = await ask(format, { temperature });
    expect(reason).toBe("stop");
    expect(fits(JSON.parse(content)), content).toBe(true);
  }
});
