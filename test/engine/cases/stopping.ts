// Where an answer ends and what is counted; prompts and lengths at their limits.

import { expect, test } from "vitest";
import { ask, randomIds, refused } from "../ask.ts";
import { SMALL_BLOCKS, type Subjects } from "../subject.ts";

const BLOCK_TOKENS = 32;
const SMALL_TOKENS = SMALL_BLOCKS * BLOCK_TOKENS;

export function stopping({ main, small }: Subjects): void {
  const request = { prompt: "Once upon a time", maxTokens: 12, ignoreEos: true };

  test("maxTokens 0 gives no token", async () => {
    const { door } = main();
    const { ids, text, finishReason, usage } = await ask(door, { ...request, maxTokens: 0 });
    expect({ ids, text, finishReason }).toEqual({ ids: [], text: "", finishReason: "length" });
    expect(usage.completionTokens).toBe(0);
    expect(usage.promptTokens).toBeGreaterThan(0);
  });

  test("maxTokens 1 gives one", async () => {
    const { door } = main();
    const [first] = (await ask(door, request)).ids;
    const { ids, finishReason } = await ask(door, { ...request, maxTokens: 1 });
    expect({ ids, finishReason }).toEqual({ ids: [first], finishReason: "length" });
  });

  test("an answer cut by maxTokens says length", async () => {
    const { ids, finishReason, usage } = await ask(main().door, request);
    expect(ids).toHaveLength(12);
    expect(finishReason).toBe("length");
    expect(usage.completionTokens).toBe(12);
  });

  test("the model's end token stops, is counted, and is no text", async () => {
    const { door, engine } = main();
    for (const eos of engine.text.tokenizer.eosTokenIds) {
      const ends = await ask(door, {
        ...request,
        ignoreEos: false,
        skipSpecialTokens: false,
        logitBias: { [eos]: 100 },
      });
      expect(ends).toMatchObject({ ids: [eos], text: "", finishReason: "stop" });
      expect(ends.usage.completionTokens).toBe(1);
    }
  });

  test("ignoreEos goes on past it", async () => {
    const { door, engine } = main();
    const eos = engine.text.tokenizer.eosTokenIds[0];
    const { ids, finishReason } = await ask(door, {
      ...request,
      maxTokens: 3,
      logitBias: { [eos]: 100 },
    });
    expect({ ids, finishReason }).toEqual({ ids: [eos, eos, eos], finishReason: "length" });
  });

  test("a stop id ends the answer, and is no text", async () => {
    const { door, engine } = main();
    const { ids } = await ask(door, request);
    const stop = ids[5];
    const at = ids.indexOf(stop);
    const { text, finishReason, ...stopped } = await ask(door, {
      ...request,
      stopTokenIds: [stop],
    });
    expect(stopped.ids).toEqual(ids.slice(0, at + 1));
    expect(text).toBe(engine.text.tokenizer.decode(ids.slice(0, at)));
    expect(finishReason).toBe("stop");
  });

  test("a stop text across a token border ends the answer before it", async () => {
    const { door, engine } = main();
    const { tokenizer } = engine.text;
    const tokens = tokenizer.encode(" lucky timer", { addSpecialTokens: false });
    expect(tokens.length).toBeGreaterThan(1);
    // Two tokens taking turns make a text whose borders are known.
    const [a, b] = [tokens[0], tokens.at(-1)!];
    const turns = { ...request, logitBias: { [a]: 95, [b]: 95 }, frequencyPenalty: 2 };
    const whole = await ask(door, turns);
    const at = whole.ids.findIndex((id, i) => i > 0 && id !== whole.ids[i - 1]);
    const [left, right] = whole.ids.slice(at - 1, at + 1).map((id) => tokenizer.decode([id]));
    const stop = left.slice(-2) + right.slice(0, 2);
    const stopped = await ask(door, { ...turns, stop });
    expect(stopped.finishReason).toBe("stop");
    expect(stopped.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
    // Counted are the tokens that were sampled, the one that completed the stop included.
    expect(stopped.ids).toEqual(whole.ids.slice(0, at + 1));
    expect(stopped.usage.completionTokens).toBe(at + 1);
  });

  test("of several stop texts the first to be complete wins", async () => {
    const { door } = main();
    const whole = await ask(door, request);
    const early = whole.text.slice(3, 6);
    const late = whole.text.slice(-4);
    const { text, finishReason } = await ask(door, { ...request, stop: [late, early, "☂☂"] });
    expect(text).toBe(whole.text.slice(0, whole.text.indexOf(early)));
    expect(finishReason).toBe("stop");
  });

  test("text held back for a stop that never comes is given at the end", async () => {
    const { door } = main();
    const whole = await ask(door, request);
    const stop = `${whole.text.slice(-2)}☂`;
    const { text, finishReason, chunks } = await ask(door, { ...request, stop });
    expect(text).toBe(whole.text);
    expect(finishReason).toBe("length");
    expect(chunks.at(-1)?.text).toBe(whole.text.slice(-2));
  });

  test("chat stops at a stop text too", async () => {
    const { door } = main();
    const chat = { messages: [{ role: "user", content: "Hello" }], max_tokens: 12 };
    const whole = (await door.chat.completions.create(chat)).choices[0].message.content!;
    const stop = whole.slice(1, 3);
    const { choices } = await door.chat.completions.create({ ...chat, stop });
    expect(choices[0].message.content).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(choices[0].finish_reason).toBe("stop");
  });

  test.each([
    ["text", ""],
    ["list of ids", []],
  ])("an empty %s starts from the model's own first token", async (_, prompt) => {
    const { door, engine } = main();
    const { bosTokenId, eosTokenIds } = engine.text.tokenizer;
    const start = [bosTokenId ?? eosTokenIds[0]];
    const rest = { maxTokens: 4, ignoreEos: true };
    const { ids, usage } = await ask(door, { prompt, ...rest });
    expect(ids).toEqual((await ask(door, { prompt: start, ...rest })).ids);
    expect(usage).toEqual({ promptTokens: 1, completionTokens: 4 });
  });

  test("a prompt of special tokens alone is a prompt", async () => {
    const { door } = main();
    const rest = { maxTokens: 4, ignoreEos: true };
    const fromText = await ask(door, { prompt: "<|im_start|><|im_end|><|im_end|>", ...rest });
    const fromIds = await ask(door, { prompt: [1, 2, 2], ...rest });
    expect(fromText.ids).toEqual(fromIds.ids);
    expect(fromText.usage).toEqual({ promptTokens: 3, completionTokens: 4 });
  });

  test("a request may fill the pool to the last token; one more is refused", async () => {
    const { door } = small();
    // The last token is sampled, never computed, so it takes no room.
    const prompt = randomIds(SMALL_TOKENS - 3, 31);
    const fits = await ask(door, { prompt, maxTokens: 4, ignoreEos: true });
    expect(fits.ids).toHaveLength(4);
    await refused(ask(door, { prompt, maxTokens: 5 }), "request_too_long", /at most 4 new tokens/);
    const again = await ask(door, { prompt, maxTokens: 4, ignoreEos: true });
    expect(again.ids).toEqual(fits.ids);
  });

  test("a prompt longer than the pool is refused with the cure, and the engine goes on", async () => {
    const { door } = small();
    const other = ask(door, { prompt: "Once", maxTokens: 8, ignoreEos: true });
    const prompt = randomIds(SMALL_TOKENS + 1, 32);
    await refused(ask(door, { prompt, maxTokens: 1 }), "request_too_long", /shorten the prompt/);
    await refused(ask(door, { prompt }), "request_too_long", /shorten the prompt/);
    expect((await other).ids).toHaveLength(8);
  });

  test("a request longer than the model's context is refused, even where the pool is larger", async () => {
    const { door, engine } = main();
    const { maxContext, kv } = engine.plan;
    expect((kv.groups[0].numBlocks - 1) * BLOCK_TOKENS).toBeGreaterThan(maxContext + 32);
    const long = { prompt: randomIds(maxContext + 1, 33) };
    await refused(ask(door, long), "request_too_long", /shorten the prompt/);
    const many = { prompt: "Once", maxTokens: maxContext + 1 };
    await refused(ask(door, many), "request_too_long", /at most \d+ new tokens/);
    expect((await ask(door, { ...request, maxTokens: 2 })).ids).toHaveLength(2);
  });

  test("requests that do not fit together wait for each other", async () => {
    const { door } = small();
    const prompts = [34, 35, 36].map((seed) => randomIds(SMALL_TOKENS / 2, seed));
    const answers = await Promise.all(
      prompts.map((prompt) => ask(door, { prompt, maxTokens: 4, ignoreEos: true })),
    );
    expect(answers.map(({ ids }) => ids.length)).toEqual([4, 4, 4]);
  });
}
