// Text completions, OpenAI-shaped: what they add to the requests that they are made of.

import { expect, test } from "vitest";
import { all, ask, randomIds, refused } from "../ask.ts";
import type { Subjects } from "../subject.ts";

export function completions({ main }: Subjects): void {
  const create: ReturnType<Subjects["main"]>["door"]["completions"]["create"] = ((
    ...asked: Parameters<ReturnType<Subjects["main"]>["door"]["completions"]["create"]>
  ) => main().door.completions.create(...asked)) as never;

  test("several prompts, each with several answers, are those that each gets alone", async () => {
    const { door } = main();
    const prompts = [randomIds(5, 1), randomIds(9, 2)];
    const request = { n: 2, max_tokens: 6, temperature: 1.5, seed: 3, logprobs: 2 };
    const whole = await create({ ...request, prompt: prompts });
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    for (const [i, prompt] of prompts.entries()) {
      for (const seed of [0, 1]) {
        const alone = await ask(door, { prompt, maxTokens: 6, temperature: 1.5, seed: 3 + seed });
        const { text, finish_reason, logprobs } = whole.choices[2 * i + seed];
        expect({ text, finish_reason }).toEqual({
          text: alone.text,
          finish_reason: alone.finishReason,
        });
        expect(logprobs!.tokens).toHaveLength(alone.ids.length);
        expect(Object.keys(logprobs!.top_logprobs[0]).length).toBeGreaterThan(0);
      }
    }
    expect(whole).toMatchObject({ object: "text_completion", usage: { prompt_tokens: 14 } });
    const streaming = { stream: true, stream_options: { include_usage: true } } as const;
    const chunks = await all(await create({ ...request, prompt: prompts, ...streaming }));
    expect(chunks.pop()).toMatchObject({ choices: [], usage: whole.usage });
    for (const { index, text } of whole.choices) {
      const own = chunks
        .flatMap(({ choices }) => choices)
        .filter((choice) => choice.index === index);
      expect(own.map((choice) => choice.text).join("")).toBe(text);
    }
  });

  test("echo gives the prompt back before the answer", async () => {
    const prompt = "Once upon a time";
    const plain = await create({ prompt, max_tokens: 3 });
    const echoed = await create({ prompt, max_tokens: 3, echo: true });
    expect(echoed.choices[0].text).toBe(prompt + plain.choices[0].text);
    const [one] = (await create({ prompt: [prompt], echo: true, max_tokens: 1 })).choices;
    expect(echoed.choices[0].text.startsWith(one.text)).toBe(true);
  });

  test.each([
    ["prompt", undefined],
    ["prompt", []],
    ["prompt", [[]]],
    ["prompt", ["a", 5]],
    ["prompt", Array.from({ length: 129 }, () => "a")],
    ["suffix", "the end"],
    ["best_of", 3],
    ["logprobs", 6],
    ["logprobs", true],
    ["max_tokens", -1],
    ["stream_options", { include_usage: true }],
  ])("%s %j is refused", async (name, value) => {
    const request = { prompt: "Hello", max_tokens: 2, [name]: value } as { prompt: string };
    const { message, param } = await refused(create(request), "bad_request");
    expect(message).toMatch(new RegExp(`^${name}\\b`));
    expect(param).toBe(name);
  });

  test("another model's name is refused by every endpoint, and this one's is not", async () => {
    const { door } = main();
    const [{ id }] = (await door.models.list()).data;
    const messages = [{ role: "user", content: "Hello" }];
    await create({ model: id, prompt: "Hello", max_tokens: 1 });
    expect(await door.models.retrieve(id)).toMatchObject({ id, object: "model" });
    for (const asking of [
      () => create({ model: "other", prompt: "Hello" }),
      () => door.chat.completions.create({ model: "other", messages }),
      () => door.models.retrieve("other"),
    ]) {
      await refused(asking(), "model_not_found", new RegExp(`other.*${id}`));
    }
  });

  test("a request that one of its prompts spoils frees the others", async () => {
    const spoilt = { prompt: ["Hello", "x ".repeat(9000)], max_tokens: 2000 };
    await refused(create(spoilt), "request_too_long");
  });
}
