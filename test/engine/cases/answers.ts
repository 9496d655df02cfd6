// What an answer looks like: pieces, ids, text, usage, seeds.

import { expect, test } from "vitest";
import { all, ask, contentOf, randomIds } from "../ask.ts";
import type { Subjects } from "../subject.ts";

const messages = [{ role: "user", content: "Sort these words: pear apple fig" }];

export function answers({ main }: Subjects): void {
  test("a stream's pieces joined are the whole answer", async () => {
    const { door } = main();
    const request = { messages, max_tokens: 16, temperature: 0.8, seed: 5, logprobs: true };
    const whole = await door.chat.completions.create(request);
    const streaming = {
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    } as const;
    const chunks = await all(await door.chat.completions.create(streaming));
    expect(contentOf(chunks)).toBe(whole.choices[0].message.content);
    const last = chunks.pop()!;
    expect(last).toMatchObject({ choices: [], usage: whole.usage });
    expect(chunks.every(({ usage }) => usage === null)).toBe(true);
    expect(chunks.at(-1)?.choices[0].finish_reason).toBe(whole.choices[0].finish_reason);
    const logprobs = chunks.flatMap(({ choices }) => choices[0].logprobs?.content ?? []);
    expect(logprobs).toEqual(whole.choices[0].logprobs?.content);
  });

  test("chunks have OpenAI's shape", async () => {
    const stream = await main().door.chat.completions.create({
      messages,
      max_tokens: 4,
      stream: true,
    });
    const chunks = await all(stream);
    const { id, created, model } = chunks[0];
    expect(id).toMatch(/^chatcmpl-/);
    const { data } = await main().door.models.list();
    expect(data.map(({ id }) => id)).toEqual([model]);
    expect(Math.abs(created - Date.now() / 1000)).toBeLessThan(60);
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({ id, created, model, object: "chat.completion.chunk" });
    }
    expect(chunks.map(({ choices }) => choices[0].delta.role)).toEqual([
      "assistant",
      ...chunks.slice(1).map(() => undefined),
    ]);
    const unfinished = chunks.slice(0, -1);
    expect(unfinished.every(({ choices }) => choices[0].finish_reason === null)).toBe(true);
    expect(chunks.every((chunk) => !("usage" in chunk))).toBe(true);
  });

  test("a whole answer has OpenAI's shape", async () => {
    const answer = await main().door.chat.completions.create({ messages, max_tokens: 3 });
    expect(answer).toMatchObject({
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant" }, logprobs: null }],
    });
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
  });

  test("generate gives one id per token, and the text that they decode to", async () => {
    const { door, engine } = main();
    const prompt = randomIds(5, 1);
    const { ids, text, chunks } = await ask(door, { prompt, maxTokens: 12, ignoreEos: true });
    expect(ids).toHaveLength(12);
    expect(text).toBe(engine.text.tokenizer.decode(ids));
    expect(chunks.slice(0, -1).every(({ tokenIds }) => tokenIds.length === 1)).toBe(true);
  });

  test("a prompt as text, as ids and as Uint32Array is the same prompt", async () => {
    const { door, engine } = main();
    const prompt = "Once upon a time";
    const ids = engine.text.tokenizer.encode(prompt, { addSpecialTokens: true });
    const rest = { maxTokens: 5, ignoreEos: true };
    const fromText = await ask(door, { prompt, ...rest });
    const fromIds = await ask(door, { prompt: ids, ...rest });
    const packed = Uint32Array.from(ids) as unknown as readonly number[];
    const fromPacked = await ask(door, { prompt: packed, ...rest });
    expect(fromIds.ids).toEqual(fromText.ids);
    expect(fromPacked.ids).toEqual(fromText.ids);
    expect(fromText.usage).toEqual({ promptTokens: ids.length, completionTokens: 5 });
  });

  test("greedy answers repeat, and the model's own default is greedy", async () => {
    const { door } = main();
    const request = { prompt: randomIds(6, 2), maxTokens: 8, ignoreEos: true };
    const first = await ask(door, { ...request, temperature: 0 });
    const second = await ask(door, { ...request, temperature: 0, seed: 77 });
    const byDefault = await ask(door, request);
    expect(second.ids).toEqual(first.ids);
    // generation_config.json of the demo says do_sample: false.
    expect(byDefault.ids).toEqual(first.ids);
  });

  test("a seed reproduces its answer, another seed gives another", async () => {
    const { door } = main();
    const request = { prompt: randomIds(6, 3), maxTokens: 10, ignoreEos: true, temperature: 2 };
    const first = await ask(door, { ...request, seed: 11 });
    const again = await ask(door, { ...request, seed: 11 });
    const other = await ask(door, { ...request, seed: 12 });
    const negative = await ask(door, { ...request, seed: -11 });
    expect(again.ids).toEqual(first.ids);
    expect(other.ids).not.toEqual(first.ids);
    expect(negative.ids).not.toEqual(first.ids);
  });

  test("without a seed, answers differ", async () => {
    const { door } = main();
    const request = { prompt: randomIds(6, 3), maxTokens: 10, ignoreEos: true, temperature: 5 };
    const [first, second] = await Promise.all([ask(door, request), ask(door, request)]);
    expect(second.ids).not.toEqual(first.ids);
  });

  test("characters whose bytes are several tokens come whole", async () => {
    const { door, engine } = main();
    const { tokenizer } = engine.text;
    const bytes = tokenizer.encode("é", { addSpecialTokens: false });
    expect(bytes).toHaveLength(2);
    // Both bytes win over all else, and the penalty makes them take turns.
    const { text, ids, chunks } = await ask(door, {
      prompt: "caf",
      maxTokens: 24,
      ignoreEos: true,
      logitBias: { [bytes[0]]: 95, [bytes[1]]: 95 },
      frequencyPenalty: 2,
    });
    expect(new Set(ids)).toEqual(new Set(bytes));
    expect(text).toContain("é");
    expect(text).toBe(tokenizer.decode(ids));
    // The first byte of a character is no text yet.
    const first = ids.findIndex((id, i) => id === bytes[0] && ids[i + 1] === bytes[1]);
    expect(chunks[first].text).not.toContain("é");
    expect(chunks[first + 1].text).toBe("é");
  });

  test("random tokens, broken characters among them, read as they decode", async () => {
    const { door, engine } = main();
    const request = { maxTokens: 24, ignoreEos: true, temperature: 100, seed: 4 };
    const { text, ids } = await ask(door, { prompt: randomIds(3, 4), ...request });
    expect(text).toBe(engine.text.tokenizer.decode(ids));
  });

  test("special tokens are left out of the text unless asked for", async () => {
    const { door, engine } = main();
    const eos = engine.text.tokenizer.eosTokenIds[0];
    const request = {
      prompt: "a",
      maxTokens: 2,
      ignoreEos: true,
      logitBias: { [eos]: 99 },
    };
    const without = await ask(door, request);
    expect(without).toMatchObject({ ids: [eos, eos], text: "" });
    const written = await ask(door, { ...request, skipSpecialTokens: false });
    expect(written.text).toBe(engine.text.tokenizer.token(eos)?.repeat(2));
  });

  test("tools and template variables reach the chat template", async () => {
    const { door } = main();
    const tokens = async (more: object) => {
      const request = { messages, max_tokens: 0, ...more };
      return (await door.chat.completions.create(request)).usage.prompt_tokens;
    };
    const plain = await tokens({});
    const tool = { type: "function", function: { name: "get_time", parameters: {} } };
    expect(await tokens({ tools: [tool] })).toBeGreaterThan(plain + 10);
    const noThinking = await tokens({ chat_template_kwargs: { enable_thinking: false } });
    expect(noThinking).toBeGreaterThan(plain);
  });

  test("a conversation goes on over several turns", async () => {
    const { door } = main();
    const first = await door.chat.completions.create({ messages, max_tokens: 4 });
    const { message } = first.choices[0];
    const turns = [...messages, message, { role: "user", content: "Again, please." }];
    const second = await door.chat.completions.create({ messages: turns, max_tokens: 4 });
    expect(second.usage.prompt_tokens).toBeGreaterThan(first.usage.total_tokens);
  });
}
