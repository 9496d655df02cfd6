// Several answers to one prompt: each is the answer of a request alone, the prompt is computed once,
// and all of them end together with their request.

import { expect, test } from "vitest";
import type { GenerateChunk, GenerateRequest } from "../../../runtime/request.ts";
import { all, ask, randomIds, refused, settled } from "../ask.ts";
import { MAX_ROWS, type Step, type Subject, type Subjects } from "../subject.ts";

const N = 3;

export function several({ main, other, otherKv, takesBack }: Subjects): void {
  const drawn = {
    ...{ maxTokens: 4, ignoreEos: true, temperature: 1.5, seed: 7 },
    ...{ repetitionPenalty: 1.2, topLogprobs: 2 },
  };

  // A prompt in chunks, one whose last block is copied, one whose blocks are full, and a single token.
  test.each([
    ["f16, with prefix cache", 100, main],
    ["f16, with prefix cache", 40, main],
    [`${otherKv}, without`, 40, other],
    [`${otherKv}, without`, 33, other],
    [`${otherKv}, without`, 1, other],
  ])(
    "each is what a request alone gets, the prompt computed once: KV in %s, %i tokens",
    async (_, length, subject) => {
      const { door, steps } = subject();
      const request = { ...drawn, prompt: randomIds(length, 300 + length) };
      const numSteps = steps.length;
      const chunks = await all(door.generate({ ...request, n: N }));
      if (!takesBack)
        expectComputedOnce(subject(), steps.slice(numSteps), length, request.maxTokens);
      for (let index = 0; index < N; index++) {
        const alone = await ask(door, { ...request, seed: request.seed + index });
        expect(idsOf(chunks, index)).toEqual(alone.ids);
        // Bits, not only choices.
        const logprobs = of(chunks, index).flatMap((chunk) => chunk.logprobs ?? []);
        expect(logprobs).toEqual(alone.logprobs);
        expect(of(chunks, index).at(-1)!.finishReason).toBe(alone.finishReason);
      }
      expect(new Set(chunks.map(({ index }) => `${idsOf(chunks, index)}`)).size).toBeGreaterThan(1);
    },
  );

  test("greedy, they are all the same", async () => {
    const request = { prompt: randomIds(20, 310), maxTokens: 4, ignoreEos: true, n: N };
    const chunks = await all(main().door.generate(request));
    const answers = Array.from({ length: N }, (_, index) => idsOf(chunks, index));
    expect(answers).toEqual(answers.map(() => answers[0]));
    expect(answers[0]).toHaveLength(4);
  });

  test("usage comes once, with the last piece, and counts the prompt once", async () => {
    const request = { prompt: randomIds(9, 311), maxTokens: 3, ignoreEos: true, n: N };
    const chunks = await all(main().door.generate(request));
    expect(chunks.filter(({ finishReason }) => finishReason)).toHaveLength(N);
    expect(chunks.filter(({ usage }) => usage)).toEqual([chunks.at(-1)]);
    expect(chunks.at(-1)!.usage).toEqual({ promptTokens: 9, completionTokens: 3 * N });
    const none = await all(main().door.generate({ ...request, maxTokens: 0 }));
    expect(none.map(({ index, finishReason }) => [index, finishReason])).toEqual(
      none.map((_, index) => [index, "length"]),
    );
    expect(none.at(-1)!.usage).toEqual({ promptTokens: 9, completionTokens: 0 });
  });

  test("chat gives choices by index, whole and in pieces", async () => {
    const { create } = main().door.chat.completions;
    const messages = [{ role: "user", content: "Tell me a story." }];
    const request = { messages, n: N, max_tokens: 6, temperature: 1.5, seed: 3, logprobs: true };
    const whole = await create(request);
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const streaming = { stream: true, stream_options: { include_usage: true } } as const;
    const chunks = await all(await create({ ...request, ...streaming }));
    expect(chunks.pop()!.usage).toEqual(whole.usage);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    for (const { index, message, finish_reason, logprobs } of whole.choices) {
      const own = chunks
        .map(({ choices }) => choices[0])
        .filter((choice) => choice.index === index);
      expect(own.map(({ delta }) => delta.content ?? "").join("")).toBe(message.content);
      expect(own.map(({ delta }) => delta.role)).toEqual(
        own.map((_, i) => (i === 0 ? "assistant" : undefined)),
      );
      expect(own.at(-1)!.finish_reason).toBe(finish_reason);
      expect(own.flatMap((choice) => choice.logprobs?.content ?? [])).toEqual(logprobs!.content);
    }
    const alone = await create({ ...request, n: 1, seed: 4 });
    expect(whole.choices[1].message).toEqual(alone.choices[0].message);
    expect(whole.usage.prompt_tokens).toBe(alone.usage.prompt_tokens);
    // They come beside each other, not one after the other.
    const indices = chunks.map(({ choices }) => choices[0].index);
    if (!takesBack) expect(indices.lastIndexOf(0)).toBeGreaterThan(indices.indexOf(N - 1));
  });

  test("more than there are rows come in waves", async () => {
    const n = MAX_ROWS + 4;
    const request = { prompt: randomIds(5, 312), maxTokens: 2, ignoreEos: true, n };
    const chunks = await all(main().door.generate(request));
    expect(chunks.at(-1)!.usage).toEqual({ promptTokens: 5, completionTokens: 2 * n });
  });

  test("an abort ends all, and so does leaving", async () => {
    const { door } = main();
    const request = { prompt: randomIds(40, 313), maxTokens: 200, ignoreEos: true, n: N };
    const controller = new AbortController();
    const aborted = async () => {
      for await (const { index } of door.generate(request, { signal: controller.signal }))
        if (index === N - 1) controller.abort();
    };
    await refused(aborted(), "aborted");
    await settled(main());
    for await (const { index } of door.generate(request)) if (index === N - 1) break;
    await settled(main());
  });
}

const of = (chunks: readonly GenerateChunk[], index: number) =>
  chunks.filter((chunk) => chunk.index === index);

const idsOf = (chunks: readonly GenerateChunk[], index: number) =>
  of(chunks, index).flatMap(({ tokenIds }) => tokenIds);

/** The prompt but for the last token once; that one, and what was sampled, by each; one copy each. */
function expectComputedOnce(
  { engine }: Subject,
  steps: readonly Step[],
  numPromptTokens: number,
  maxTokens: Required<GenerateRequest>["maxTokens"],
): void {
  const rows = steps.flatMap(({ plan }) => plan.rows);
  const numTokens = rows.reduce((sum, { tokens }) => sum + tokens.to - tokens.from, 0);
  expect(numTokens).toBe(numPromptTokens - 1 + N * maxTokens);
  const { blockTokens, groups } = engine.plan.kv;
  const isPartial = (numPromptTokens - 1) % blockTokens > 0;
  const copies = steps.flatMap(({ plan }) => plan.copies);
  expect(copies).toHaveLength(isPartial ? (N - 1) * groups.length : 0);
}
