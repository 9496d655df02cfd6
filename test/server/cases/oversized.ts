// Requests that are right in form and far too much in size: each is refused soon, by name, and nothing waits for it.

import { beforeAll, describe, expect, test } from "vitest";
import { createHandler } from "../../../server.ts";
import { atRest, MESSAGES, type Served, served } from "../served.ts";

const list = <T>(length: number, one: (i: number) => T): T[] =>
  Array.from({ length }, (_, i) => one(i));
const form = (schema: object) => ({
  response_format: { type: "json_schema", json_schema: { name: "x", schema, strict: true } },
});

describe("far too much", () => {
  let main: Served;
  let handle: ReturnType<typeof createHandler>;
  const faults: unknown[] = [];
  beforeAll(async () => {
    main = await served();
    handle = createHandler(main.engine, { onFault: (fault) => faults.push(fault) });
  });

  /** @param more Fields, or the body as it is written. */
  async function ask(more: object | string, path = "chat/completions") {
    const body = typeof more === "string" ? more : { messages: MESSAGES, max_tokens: 1, ...more };
    const request = new Request(`http://localhost/v1/${path}`, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const response = await handle(request);
    return { status: response.status, text: await response.text() };
  }

  const written = (field: string) =>
    `{"messages":${JSON.stringify(MESSAGES)},"max_tokens":1,${field}}`;

  test.each<[string, object | string, string, string?]>([
    ["lists in lists", `{"messages":${"[".repeat(1e5)}${"]".repeat(1e5)}}`, "nested more than 100"],
    ["a text", { messages: [{ role: "user", content: "x ".repeat(3e5) }] }, "600005 characters"],
    ["a text of one word", { prompt: "x".repeat(1e6) }, "1000000 characters", "completions"],
    ["a text to embed", { input: "x".repeat(1e6) }, "1000000 characters", "embeddings"],
    ["messages", { messages: list(70_000, () => MESSAGES[0]) }, "70000 messages"],
    ["answers", { n: 1e15 }, "asks for 1000000000000000 answers"],
    ["prompts", { prompt: list(5000, () => "a") }, "asks for 5000 answers", "completions"],
    ["texts to embed", { input: list(5000, () => "a") }, "input is ", "embeddings"],
    ["stop texts", { stop: list(1e5, (i) => `${i}`) }, "stop is 100000 texts"],
    [
      "biases",
      { logit_bias: Object.fromEntries(list(2e5, (i) => [i, 1])) },
      "logit_bias is 200000",
    ],
    ["likeliest tokens", { logprobs: true, top_logprobs: 1e6 }, "top_logprobs is 1000000"],
    [
      "a tool's name",
      { tools: [{ type: "function", function: { name: "f".repeat(1e5) } }] },
      "name is",
    ],
    ["a model's name", { model: "m".repeat(1e6) }, "this engine has"],
    ["a temperature", written('"temperature":1e999'), "temperature is"],
    ["tokens", written('"max_completion_tokens":1e999'), "max_completion_tokens is"],
    ["a seed", written('"seed":1e999'), "seed is"],
    ["a bias", written('"logit_bias":{"5":1e999}'), "logit_bias\\[5\\] is"],
    ["a deadline", written('"deadline_ms":1e999'), "deadline_ms is"],
    ["a length", form({ type: "string", minLength: 1e9 }), "minLength.* is 1000000000"],
    [
      "items of items",
      form(
        list(4, () => 0).reduce<object>((items) => ({ type: "array", minItems: 5000, items }), {
          type: "null",
        }),
      ),
      "shortest text|repetitions",
    ],
    [
      "references in a ring",
      form({ $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } }),
      "finite|leads back",
    ],
    [
      "repetitions",
      { response_format: { type: "regex", pattern: "(((a{9999}){9999}){9999})" } },
      "repetitions",
    ],
    [
      "groups",
      { response_format: { type: "regex", pattern: `${"(".repeat(5e4)}a${")".repeat(5e4)}` } },
      "100 groups",
    ],
    [
      "choices",
      { response_format: { type: "choice", choices: list(2e4, (i) => `${i}`) } },
      "choices",
    ],
    [
      "a grammar",
      { response_format: { type: "grammar", grammar: `root ::= "${"a".repeat(3e5)}"` } },
      "200000",
    ],
  ])("%s", async (_, body, message, path) => {
    const { status, text } = await ask(body, path);
    const { error } = JSON.parse(text);
    expect(error.message).toMatch(new RegExp(message));
    expect([400, 404]).toContain(status);
    // What was sent is not sent back.
    expect(error.message.length).toBeLessThan(500);
  });

  test.each<[string, string]>([
    ["keys twice: the last counts", written('"n":128,"n":1')],
    [
      "halves of letters",
      `{"messages":[{"role":"user","content":"\\ud800 a \\udc00"}],"max_tokens":1}`,
    ],
    ["keys of prototypes", written('"__proto__":{"n":9},"constructor":1,"toString":2,"valueOf":3')],
    [
      "long names of who asks",
      written(`"user":"${"u".repeat(1e5)}","cache_salt":"${"c".repeat(1e5)}"`),
    ],
  ])("%s are served", async (_, body) => {
    const { status, text } = await ask(body);
    expect(status).toBe(200);
    expect(JSON.parse(text).choices).toHaveLength(1);
  });

  test("nothing of it is left, and none of it was the server's fault", async () => {
    await atRest(main.engine);
    expect(faults).toEqual([]);
  });
});
