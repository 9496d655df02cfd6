// Sampling as a user sees it: each setting changes, or does not change, the ids.

import { expect, test } from "vitest";
import { ask, randomIds } from "../ask.ts";
import type { Subjects } from "../subject.ts";

export function sampling({ main }: Subjects): void {
  const request = { prompt: randomIds(8, 21), maxTokens: 8, ignoreEos: true };

  test.each([
    ["topK 1", { topK: 1 }],
    ["a nucleus of one token", { topP: 1e-6 }],
    ["minP 1", { minP: 1 }],
    ["a temperature near 0", { temperature: 1e-4 }],
  ])("%s is greedy", async (_, settings) => {
    const { door } = main();
    const greedy = await ask(door, { ...request, temperature: 0 });
    const answer = await ask(door, { ...request, temperature: 3, seed: 1, ...settings });
    expect(answer.ids).toEqual(greedy.ids);
  });

  test.each([
    ["topK", { topK: 3 }],
    ["topP", { topP: 0.01 }],
    ["minP", { minP: 0.9 }],
  ])("%s keeps the draw among the likeliest", async (_, settings) => {
    const { door } = main();
    const hot = { ...request, temperature: 3, seed: 2, topLogprobs: 20 };
    const free = await ask(door, hot);
    const kept = await ask(door, { ...hot, ...settings });
    expect(kept.ids).not.toEqual(free.ids);
    for (const [own, ...likeliest] of kept.logprobs) {
      // Temperature flattens but keeps the order, so the few that are kept are the likeliest.
      expect(likeliest.map(({ tokenId }) => tokenId)).toContain(own.tokenId);
    }
  });

  test("a high temperature leaves the greedy path", async () => {
    const { door } = main();
    const greedy = await ask(door, { ...request, temperature: 0 });
    const hot = await ask(door, { ...request, temperature: 100, seed: 3 });
    expect(hot.ids).not.toEqual(greedy.ids);
  });

  test("a bias of -100 bans a token", async () => {
    const { door } = main();
    const [favourite] = (await ask(door, request)).ids;
    const { ids } = await ask(door, { ...request, logitBias: { [favourite]: -100 } });
    expect(ids).not.toContain(favourite);
    const hot = { ...request, temperature: 100, seed: 4 };
    const drawn = await ask(door, hot);
    const bans = Object.fromEntries(drawn.ids.map((id) => [id, -100]));
    const others = await ask(door, { ...hot, logitBias: bans });
    expect(others.ids.filter((id) => drawn.ids.includes(id))).toEqual([]);
  });

  test("a bias of 100 forces a token", async () => {
    const { ids } = await ask(main().door, { ...request, logitBias: { 500: 100 } });
    expect(ids).toEqual(ids.map(() => 500));
  });

  test("a bias counts for its own request alone", async () => {
    const { door } = main();
    const plain = await ask(door, request);
    const [biased, beside] = await Promise.all([
      ask(door, { ...request, logitBias: { 500: 100 } }),
      ask(door, request),
    ]);
    expect(new Set(biased.ids)).toEqual(new Set([500]));
    expect(beside.ids).toEqual(plain.ids);
  });

  test("a repetition penalty counts prompt and output", async () => {
    const { door } = main();
    const forced = { ...request, logitBias: { 500: 60 } };
    const penalised = await ask(door, { ...forced, repetitionPenalty: 100 });
    expect(penalised.ids.indexOf(500)).toBe(0);
    expect(penalised.ids.slice(1)).not.toContain(500);
    const prompt = [...request.prompt, 500];
    const seen = await ask(door, { ...forced, prompt, repetitionPenalty: 100 });
    expect(seen.ids).not.toContain(500);
  });

  test.each([
    ["presencePenalty", { presencePenalty: 2 }],
    ["frequencyPenalty", { frequencyPenalty: 2 }],
  ])("%s makes an answer repeat itself less", async (_, penalty) => {
    const { door } = main();
    // Among some tokens that stand out, so that draws repeat; one answer alone may be lucky.
    const logitBias = Object.fromEntries(randomIds(150, 22).map((id) => [id, 80]));
    const distinct = { plain: 0, varied: 0 };
    for (const seed of [1, 2, 3]) {
      const biased = { ...request, maxTokens: 20, logitBias, temperature: 1, seed };
      distinct.plain += new Set((await ask(door, biased)).ids).size;
      distinct.varied += new Set((await ask(door, { ...biased, ...penalty })).ids).size;
    }
    expect(distinct.varied).toBeGreaterThan(distinct.plain + 2);
  });

  test("a penalty of the wrong sign makes it repeat itself more", async () => {
    const { door } = main();
    const hot = { ...request, maxTokens: 20, temperature: 0.5, seed: 5 };
    const plain = await ask(door, hot);
    const dull = await ask(door, { ...hot, frequencyPenalty: -2 });
    expect(new Set(dull.ids).size).toBeLessThanOrEqual(new Set(plain.ids).size);
    expect(dull.ids).not.toEqual(plain.ids);
  });

  test("logprobs: the token's own, then the likeliest, highest first", async () => {
    const { door } = main();
    const { ids, logprobs } = await ask(door, { ...request, topLogprobs: 20 });
    expect(logprobs).toHaveLength(ids.length);
    logprobs.forEach(([own, ...likeliest], i) => {
      expect(own.tokenId).toBe(ids[i]);
      expect(likeliest).toHaveLength(20);
      // Greedy: the token is the likeliest, with the very same value.
      expect(likeliest[0]).toEqual(own);
      const values = likeliest.map(({ logprob }) => logprob);
      expect(values).toEqual(values.toSorted((a, b) => b - a));
      expect(new Set(likeliest.map(({ tokenId }) => tokenId)).size).toBe(20);
      const mass = values.reduce((sum, value) => sum + Math.exp(value), 0);
      expect(mass).toBeLessThan(1 + 1e-5);
      expect(mass).toBeGreaterThan(20 / 1024);
    });
  });

  test("logprobs of a drawn token are the model's, whatever the temperature", async () => {
    const { door } = main();
    const drawn = await ask(door, { ...request, temperature: 2, seed: 6, topLogprobs: 20 });
    for (const [own, ...likeliest] of drawn.logprobs) {
      expect(own.logprob).toBeLessThanOrEqual(0);
      const same = likeliest.find(({ tokenId }) => tokenId === own.tokenId);
      if (same) expect(own).toEqual(same);
      else expect(own.logprob).toBeLessThanOrEqual(likeliest.at(-1)!.logprob);
    }
  });

  test("topLogprobs 0 gives the token's own alone, and nothing is given unasked", async () => {
    const { door } = main();
    const own = await ask(door, { ...request, maxTokens: 2, topLogprobs: 0 });
    expect(own.logprobs.map((entries) => entries.length)).toEqual([1, 1]);
    const none = await ask(door, { ...request, maxTokens: 2 });
    expect(none.logprobs).toEqual([]);
  });

  test("chat logprobs have text and bytes of each token", async () => {
    const { door, engine } = main();
    const answer = await door.chat.completions.create({
      messages: [{ role: "user", content: "Hello" }],
      max_tokens: 5,
      logprobs: true,
      top_logprobs: 2,
    });
    const content = answer.choices[0].logprobs!.content;
    expect(content).toHaveLength(answer.usage.completion_tokens);
    for (const { token, bytes, logprob, top_logprobs } of content) {
      expect(new TextDecoder().decode(Uint8Array.from(bytes!))).toBe(token);
      expect(top_logprobs).toHaveLength(2);
      expect(top_logprobs[0]).toEqual({ token, bytes, logprob });
    }
    const text = content.map(({ token }) => token).join("");
    expect(text.startsWith(answer.choices[0].message.content!)).toBe(true);
    expect(engine.plan.spec.vocabSize).toBeGreaterThan(2);
  });
}
