// Tools and forms of answers through OpenAI's client, with the demo model on the reference device.

import type OpenAI from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import { createEngine } from "../../../node.ts";
import { misfits } from "../openai-schemas.ts";
import { client, served } from "../served.ts";

describe("tools", () => {
  let api: OpenAI;
  beforeAll(async () => {
    const engine = await createEngine({ model: "demo", device: "reference" });
    const { server } = await served({}, engine);
    api = client(server);
    return () => engine.close();
  });

  const tool: OpenAI.ChatCompletionFunctionTool = {
    type: "function",
    function: {
      name: "set_light",
      description: "Set the light in a room.",
      parameters: {
        type: "object",
        properties: { room: { type: "string" }, color: { type: "string" } },
        required: ["room", "color"],
      },
    },
  };
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    { role: "user", content: "Set the bathroom light to white." },
  ];
  const request = { model: "demo", messages, tools: [tool], temperature: 0 };
  const called = { room: "bathroom", color: "white" };

  test("are called, and their results are answered", async () => {
    const answer = await api.chat.completions.create(request);
    expect(await misfits("ChatCompletion", answer)).toEqual([]);
    const [{ message, finish_reason }] = answer.choices;
    expect(finish_reason).toBe("tool_calls");
    const [call] = message.tool_calls ?? [];
    if (call?.type !== "function") throw new Error("no function was called");
    expect(call.function.name).toBe("set_light");
    expect(JSON.parse(call.function.arguments)).toEqual(called);
    const result = { role: "tool" as const, tool_call_id: call.id, content: '{"ok": true}' };
    const { choices } = await api.chat.completions.create({
      ...request,
      messages: [...messages, message, result],
    });
    expect(choices[0]).toMatchObject({ finish_reason: "stop" });
    expect(choices[0].message.content).toMatch(/\w+/);
  });

  test("stream as deltas that OpenAI's client puts together", async () => {
    const stream = api.chat.completions.stream(request);
    const pieces: string[] = [];
    for await (const chunk of stream) {
      expect(await misfits("ChatCompletionChunk", chunk)).toEqual([]);
      const [delta] = chunk.choices[0]?.delta.tool_calls ?? [];
      if (delta?.function?.arguments) pieces.push(delta.function.arguments);
    }
    const { choices } = await stream.finalChatCompletion();
    const [call] = choices[0].message.tool_calls ?? [];
    if (call?.type !== "function") throw new Error("no function was called");
    expect(JSON.parse(call.function.arguments)).toEqual(called);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join("")).toBe(call.function.arguments);
  });

  describe("forms of answers", () => {
    const form = (schema: Record<string, unknown>) => ({
      ...{ model: "demo", messages: [{ role: "user" as const, content: "Write JSON." }] },
      ...{ temperature: 1, seed: 3, max_completion_tokens: 60 },
      response_format: {
        type: "json_schema" as const,
        json_schema: { name: "person", schema, strict: true },
      },
    });
    const person = {
      type: "object",
      properties: { name: { type: "string", maxLength: 8 }, age: { type: "integer" } },
      required: ["name", "age"],
      additionalProperties: false,
    };

    test("hold, as OpenAI's client parses them", async () => {
      const { choices } = await api.chat.completions.parse(form(person));
      expect(choices[0].finish_reason).toBe("stop");
      expect(choices[0].message.parsed).toEqual({
        name: expect.any(String),
        age: expect.any(Number),
      });
    });

    test("that cannot be held are refused, with the keyword's name", async () => {
      const odd = { ...person, properties: { name: { not: { type: "string" } } } };
      const error = await api.chat.completions.create(form(odd)).catch((thrown) => thrown);
      expect(error).toMatchObject({ status: 400, type: "invalid_request_error" });
      expect(error.message).toContain('"not"');
      expect(error.message).not.toMatch(/\/home|node_modules/);
    });

    test("are streamed with others that have none", async () => {
      const free = { model: "demo", messages: form(person).messages, max_completion_tokens: 20 };
      const alone = await api.chat.completions.create({ ...free, temperature: 0 });
      const [held, other] = await Promise.all([
        api.chat.completions.stream(form(person)).finalChatCompletion(),
        api.chat.completions.create({ ...free, temperature: 0 }),
      ]);
      expect(Object.keys(JSON.parse(held.choices[0].message.content ?? ""))).toContain("age");
      expect(other.choices[0].message).toEqual(alone.choices[0].message);
    });
  });
});
