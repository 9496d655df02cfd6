// Requests that cannot be served: a typed error that names the value and the cure, nothing held, and
// the engine goes on.

import { afterAll, expect, test } from "vitest";
import { WeftError } from "../../../runtime/errors.ts";
import type { ChatCompletionRequest } from "../../../runtime/openai/chat-request.ts";
import type { GenerateRequest } from "../../../runtime/request.ts";
import { ask, refused } from "../ask.ts";
import type { Subjects } from "../subject.ts";

const badValues: [keyof GenerateRequest, unknown][] = [
  ["prompt", undefined],
  ["prompt", { text: "Hello" }],
  ["prompt", [1.5]],
  ["prompt", [-1]],
  ["n", 0],
  ["n", 1.5],
  ["n", 129],
  ["maxTokens", -1],
  ["maxTokens", 1.5],
  ["maxTokens", "10"],
  ["temperature", -0.1],
  ["temperature", Number.NaN],
  ["temperature", Number.POSITIVE_INFINITY],
  ["topK", -1],
  ["topK", 0.5],
  ["topP", 0],
  ["topP", 1.1],
  ["minP", -0.1],
  ["minP", 1.1],
  ["seed", 0.5],
  ["seed", 2 ** 60],
  ["repetitionPenalty", 0],
  ["presencePenalty", 2.1],
  ["frequencyPenalty", -2.1],
  ["logitBias", 5],
  ["logitBias", null],
  ["logitBias", { hello: 1 }],
  ["logitBias", { 5: 101 }],
  ["logitBias", { 99999: 1 }],
  ["logitBias", Object.fromEntries(Array.from({ length: 301 }, (_, id) => [id, 1]))],
  ["topLogprobs", 21],
  ["topLogprobs", true],
  ["stop", ""],
  ["stop", [""]],
  ["stop", 5],
  ["stop", Array.from({ length: 17 }, (_, i) => `stop ${i}`)],
  ["stopTokenIds", 5],
  ["stopTokenIds", ["5"]],
  ["ignoreEos", "yes"],
  ["skipSpecialTokens", 1],
];

const badChatValues: [keyof ChatCompletionRequest, unknown][] = [
  ["messages", undefined],
  ["messages", []],
  ["messages", "Hello"],
  ["max_tokens", -1],
  ["max_completion_tokens", 0.5],
  ["temperature", 101],
  ["top_p", 2],
  ["top_k", -1],
  ["min_p", 2],
  ["seed", "7"],
  ["stop", 7],
  ["repetition_penalty", -1],
  ["presence_penalty", 3],
  ["frequency_penalty", 3],
  ["logit_bias", { a: 1 }],
  ["top_logprobs", 5],
  ["n", 0],
  ["n", 129],
  ["n", "2"],
  ["response_format", { type: "xml" }],
  ["response_format", { type: "json_schema" }],
  ["response_format", { type: "regex", pattern: 5 }],
  ["response_format", { type: "choice", choices: [] }],
  ["tools", [{ type: "function" }]],
  ["tool_choice", "required"],
];

export function refusals({ main }: Subjects): void {
  const messages = [{ role: "user", content: "Hello" }];
  const shown = (value: unknown) => String(JSON.stringify(value)).slice(0, 30);

  afterAll(async () => {
    const { ids } = await ask(main().door, { prompt: "Once", maxTokens: 2, ignoreEos: true });
    expect(ids).toHaveLength(2);
  });

  test.each(badValues.map(([name, value]) => [name, shown(value), value] as const))(
    "%s: %s",
    async (name, _, value) => {
      const request = { prompt: "Hello", maxTokens: 2, [name]: value } as GenerateRequest;
      const { message } = await refused(ask(main().door, request), "bad_request");
      expect(message).toMatch(new RegExp(`^${name}\\b.* is .*must be.*; change the request$`));
    },
  );

  test.each(badChatValues.map(([name, value]) => [name, shown(value), value] as const))(
    "chat %s: %s",
    async (name, _, value) => {
      const request = { messages, [name]: value } as ChatCompletionRequest;
      const { create } = main().door.chat.completions;
      const { message } = await refused(create(request), "bad_request");
      expect(message).toMatch(new RegExp(`^${name}\\b`));
      // A stream is refused by the call itself, not by its first chunk.
      await refused(create({ ...request, stream: true }), "bad_request");
    },
  );

  test.each([undefined, null, 5, "Hello"])("a request that is %s", async (request) => {
    const { door } = main();
    await refused(ask(door, request as unknown as GenerateRequest), "bad_request", /request/);
    const chat = request as unknown as ChatCompletionRequest;
    await refused(door.chat.completions.create(chat), "bad_request", /request|messages/);
  });

  test("a token id outside the vocabulary", async () => {
    const request = { prompt: [5, 1024], maxTokens: 1 };
    await refused(ask(main().door, request), "bad_request", /1024.*ends at 1023.*tokenizer/);
  });

  test("a chat template that raises", async () => {
    const { create } = main().door.chat.completions;
    const odd = { messages: [{ role: "narrator", content: "Hello" }] };
    await refused(create(odd), "chat_template_failed", /Unknown role "narrator".*change/);
    await refused(create({ ...odd, stream: true }), "chat_template_failed");
  });

  test("unknown fields and nulls are ignored", async () => {
    const { door } = main();
    const plain = await door.chat.completions.create({ messages, max_tokens: 3 });
    const request = {
      messages,
      max_tokens: 3,
      n: 1,
      user: "somebody",
      metadata: { any: "thing" },
      temperature: null,
      stop: null,
      seed: null,
      logit_bias: null,
    } as unknown as ChatCompletionRequest;
    const { choices, usage } = await door.chat.completions.create(request);
    expect({ choices, usage }).toEqual({ choices: plain.choices, usage: plain.usage });
  });

  test("errors survive a structured clone", async () => {
    const error = await refused(ask(main().door, { prompt: "a", topP: 5 }), "bad_request");
    const copy = WeftError.fromJSON(structuredClone(error.toJSON()));
    expect(copy).toBeInstanceOf(WeftError);
    expect(copy).toMatchObject({ name: error.name, code: error.code, message: error.message });
  });

  test("refused beside a running request, which is not disturbed", async () => {
    const { door } = main();
    const request = { prompt: "Once", maxTokens: 6, ignoreEos: true };
    const alone = await ask(door, request);
    const [beside] = await Promise.all([
      ask(door, request),
      refused(ask(door, { ...request, topK: -1 }), "bad_request"),
      refused(ask(door, { ...request, maxTokens: 1e9 }), "request_too_long"),
    ]);
    expect(beside.ids).toEqual(alone.ids);
  });
}
