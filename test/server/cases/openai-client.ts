// OpenAI's own client against the server: what it gets, and which of its classes it throws.

import OpenAI from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import { misfits, type TypeName } from "../openai-schemas.ts";
import { atRest, client, MESSAGES, type Served, served } from "../served.ts";

describe("OpenAI's client", () => {
  let main: Served;
  let api: OpenAI;
  let model: string;
  beforeAll(async () => {
    main = await served();
    api = client(main.server);
    model = main.engine.info.model.id;
  });

  const greedy = { temperature: 0, seed: 1 };

  describe("models", () => {
    test("are listed and retrieved", async () => {
      const { data } = await api.models.list();
      expect(data).toEqual([expect.objectContaining({ id: model, object: "model" })]);
      expect(await api.models.retrieve(model)).toEqual(data[0]);
    });

    test("that are not there are not found", async () => {
      await expect(api.models.retrieve("org/other")).rejects.toThrow(OpenAI.NotFoundError);
      await expect(
        api.chat.completions.create({ model: "other", messages: MESSAGES }),
      ).rejects.toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    });
  });

  describe("chat completions", () => {
    test("stream what they answer as a whole", async () => {
      const request = { model, messages: MESSAGES, max_completion_tokens: 8, ...greedy };
      const whole = await api.chat.completions.create(request);
      const stream = await api.chat.completions.create({
        ...request,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = "";
      let last: OpenAI.Chat.Completions.ChatCompletionChunk | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        last = chunk;
      }
      expect(text).toBe(whole.choices[0].message.content);
      expect(text).toHaveLength(8);
      expect(last).toMatchObject({ choices: [], usage: whole.usage });
      expect(whole.usage).toMatchObject({ completion_tokens: 8 });
    });

    test("give several answers, with logprobs", async () => {
      const { choices } = await api.chat.completions.create({
        ...{ model, messages: MESSAGES, max_completion_tokens: 3, seed: 5, n: 3 },
        ...{ logprobs: true, top_logprobs: 2 },
      });
      expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
      for (const { logprobs } of choices) {
        expect(logprobs?.content).toHaveLength(3);
        expect(logprobs?.content?.[0].top_logprobs).toHaveLength(2);
      }
    });

    test("end in the engine when the reader leaves or aborts", async () => {
      const request = {
        model,
        messages: MESSAGES,
        max_completion_tokens: 400,
        stream: true,
      } as const;
      const aborted = async () => (await main.engine.metrics()).total.aborted;
      const before = await aborted();
      for await (const _ of await api.chat.completions.create(request)) break;
      const controller = new AbortController();
      const stream = await api.chat.completions.create(request, { signal: controller.signal });
      for await (const _ of stream) controller.abort();
      await expect(
        api.chat.completions.create({ ...request, stream: false }, { timeout: 30 }),
      ).rejects.toThrow(OpenAI.APIConnectionTimeoutError);
      await atRest(main.engine);
      expect((await aborted()) - before).toBe(3);
    });

    test("refuse with what is wrong", async () => {
      const create = (more: object) =>
        api.chat.completions.create({ model, messages: MESSAGES, ...more });
      await expect(create({ temperature: 1000 })).rejects.toThrow(OpenAI.BadRequestError);
      await expect(create({ temperature: 1000 })).rejects.toMatchObject({
        ...{ param: "temperature", code: "bad_request", type: "invalid_request_error" },
        message: /^400 temperature is 1000, it must be a number from 0 to 100/,
        requestID: /^req_[\da-f]{32}$/,
      });
      await expect(create({ max_tokens: 1e6 })).rejects.toMatchObject({
        ...{ status: 400, code: "context_length_exceeded" },
      });
      const raise = [{ role: "user", content: "raise" }];
      await expect(create({ messages: raise })).rejects.toMatchObject({
        ...{ status: 400, code: "chat_template_failed" },
      });
    });
  });

  describe("text completions", () => {
    test("answer several prompts", async () => {
      const { choices, object } = await api.completions.create({
        ...{ model, prompt: ["Hi", "Ho"], max_tokens: 4, logprobs: 2, echo: true, ...greedy },
      });
      expect(object).toBe("text_completion");
      expect(choices.map(({ text }) => text.slice(0, 2))).toEqual(["Hi", "Ho"]);
      expect(choices[0].logprobs?.tokens).toHaveLength(4);
    });

    test("stream", async () => {
      let text = "";
      const request = { model, prompt: "Hi", max_tokens: 4, ...greedy };
      const stream = await api.completions.create({ ...request, stream: true });
      for await (const chunk of stream) text += chunk.choices[0].text;
      expect(text).toBe((await api.completions.create(request)).choices[0].text);
    });
  });

  describe("embeddings", () => {
    test("are the same as numbers and as the bytes that OpenAI's client asks for", async () => {
      const request = { model, input: ["Hi", "Ho there"] };
      const bytes = await api.embeddings.create(request);
      const numbers = await api.embeddings.create({ ...request, encoding_format: "float" });
      expect(bytes.data.map(({ index }) => index)).toEqual([0, 1]);
      expect(bytes.usage).toEqual({ prompt_tokens: 10, total_tokens: 10 });
      for (const [i, { embedding }] of bytes.data.entries()) {
        expect(embedding).toEqual(numbers.data[i].embedding);
        expect(embedding.reduce((sum, x) => sum + x * x, 0)).toBeCloseTo(1, 5);
      }
      await atRest(main.engine);
    });

    test("of a prompt that is too long, or of nothing, are refused", async () => {
      await expect(api.embeddings.create({ model, input: "a".repeat(600) })).rejects.toMatchObject({
        ...{ status: 400, code: "context_length_exceeded" },
      });
      await expect(api.embeddings.create({ model, input: [] })).rejects.toMatchObject({
        ...{ status: 400, param: "input" },
      });
    });
  });

  describe("fits OpenAI's types, as generated validators read them", () => {
    const post = async (path: string, body: object) => {
      const response = await fetch(`${main.server.url}/${path}`, {
        ...{ method: "POST", headers: { "content-type": "application/json" } },
        body: JSON.stringify(body),
      });
      return response.text();
    };
    const events = (text: string) => {
      const parts = text.split("\n\n");
      expect(parts.slice(-2)).toEqual(["data: [DONE]", ""]);
      return parts.slice(0, -2).map((part) => JSON.parse(part.slice("data: ".length)));
    };
    const chat = { messages: MESSAGES, max_tokens: 4 };
    const logprobs = { logprobs: true, top_logprobs: 3 };
    const usage = { stream: true, stream_options: { include_usage: true } };

    test.each<[string, object, TypeName]>([
      ["chat/completions", chat, "ChatCompletion"],
      ["chat/completions", { ...chat, ...logprobs, n: 2 }, "ChatCompletion"],
      ["chat/completions", { ...chat, max_tokens: 0 }, "ChatCompletion"],
      ["chat/completions", { ...chat, stream: true }, "ChatCompletionChunk"],
      ["chat/completions", { ...chat, ...logprobs, ...usage, n: 2 }, "ChatCompletionChunk"],
      ["completions", { prompt: "Hi" }, "Completion"],
      ["embeddings", { input: ["Hi", "Ho"] }, "CreateEmbeddingResponse"],
      ["completions", { prompt: ["Hi", "Ho"], n: 2, logprobs: 2, echo: true }, "Completion"],
    ])("%s %j", async (path, body, type) => {
      const text = await post(path, body);
      const answers = "stream" in body ? events(text) : [JSON.parse(text)];
      expect(answers.length).toBeGreaterThan("stream" in body ? 4 : 0);
      for (const answer of answers) expect(await misfits(type, answer)).toEqual([]);
    });

    test("models and errors", async () => {
      const listed = JSON.parse(await (await fetch(`${main.server.url}/models`)).text());
      expect(listed).toMatchObject({ object: "list" });
      for (const model of listed.data) expect(await misfits("Model", model)).toEqual([]);
      for (const body of [{}, { messages: [] }, { ...chat, model: "x" }, { ...chat, n: 1000 }]) {
        const { error } = JSON.parse(await post("chat/completions", body));
        expect(await misfits("ErrorObject", error)).toEqual([]);
      }
    });

    test("and what does not fit is found", async () => {
      const answer = JSON.parse(await post("chat/completions", chat));
      answer.choices[0].finish_reason = "tired";
      delete answer.created;
      expect(await misfits("ChatCompletion", answer)).toHaveLength(2);
    });
  });
});
