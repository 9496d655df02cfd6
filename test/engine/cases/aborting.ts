// Leaving at any point: the caller learns it at once, and everything that was held is free again.

import fc from "fast-check";
import { expect, test } from "vitest";
import { all, ask, randomIds, refused, settled } from "../ask.ts";
import { MAX_ROWS, type Subject, type Subjects } from "../subject.ts";

export function aborting({ main, abortRuns }: Subjects): void {
  const request = { prompt: randomIds(5, 41), maxTokens: 200, ignoreEos: true };
  const messages = [{ role: "user", content: "Tell me a story." }];

  test("before the start, whatever is called", async () => {
    const { door, steps } = main();
    const signal = AbortSignal.abort("too late");
    const numSteps = steps.length;
    await refused(ask(door, request, { signal }), "aborted", /too late/);
    const { completions } = door.chat;
    await refused(completions.create({ messages }, { signal }), "aborted", /too late/);
    await refused(completions.create({ messages, stream: true }, { signal }), "aborted");
    expect(steps).toHaveLength(numSteps);
  });

  test("in the middle of a prompt", async () => {
    const { door, engine, steps } = main();
    const controller = new AbortController();
    const prompt = randomIds(1000, 42);
    const numSteps = steps.length;
    const answer = ask(door, { ...request, prompt }, { signal: controller.signal });
    const ended = refused(answer, "aborted", /changed my mind/);
    await expect.poll(() => steps.length, { interval: 1 }).toBeGreaterThan(numSteps);
    controller.abort(new Error("changed my mind"));
    await ended;
    await settled({ door, engine, steps });
    // 1,000 tokens are 16 plans; most were never made.
    expect(steps.length - numSteps).toBeLessThan(16);
  });

  test("in the middle of an answer", async () => {
    const { door } = main();
    const controller = new AbortController();
    let numChunks = 0;
    const answer = ask(door, request, { signal: controller.signal }, () => {
      if (++numChunks === 3) controller.abort();
    });
    await refused(answer, "aborted");
    expect(numChunks).toBeLessThan(request.maxTokens);
  });

  test("in the middle of a chat stream, and of a whole chat answer", async () => {
    const { door } = main();
    const controller = new AbortController();
    const { signal } = controller;
    const chat = { messages, max_tokens: 200, logit_bias: { 0: -100, 2: -100 } };
    const stream = await door.chat.completions.create({ ...chat, stream: true }, { signal });
    const whole = door.chat.completions.create(chat, { signal });
    const ended = [refused(all(stream), "aborted"), refused(whole, "aborted")];
    controller.abort();
    await Promise.all(ended);
  });

  test("while the request waits for a row", async () => {
    const { door } = main();
    const running = new AbortController();
    const waiting = new AbortController();
    const { signal } = running;
    const busy = Array.from({ length: MAX_ROWS }, () =>
      refused(ask(door, request, { signal }), "aborted"),
    );
    const last = refused(ask(door, request, { signal: waiting.signal }), "aborted");
    await expect.poll(() => main().engine.loop.usage.slots, { interval: 1 }).toBe(MAX_ROWS);
    waiting.abort();
    await last;
    running.abort();
    await Promise.all(busy);
  });

  test("after the end it changes nothing", async () => {
    const { door } = main();
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const first = await ask(door, { ...request, maxTokens: 3 }, options);
    controller.abort();
    const second = await ask(door, { ...request, maxTokens: 3 });
    expect(second.ids).toEqual(first.ids);
  });

  test("by leaving the reader's loop", async () => {
    const { door } = main();
    for await (const chunk of door.generate(request)) if (chunk.tokenIds.length > 0) break;
    await settled(main());
    const stream = await door.chat.completions.create({
      messages,
      stream: true,
      logit_bias: { 0: -100, 2: -100 },
    });
    for await (const _ of stream) break;
    await settled(main());
  });

  test("by an error in the reader's loop", async () => {
    const { door } = main();
    const reader = async () => {
      for await (const _ of door.generate(request)) throw new Error("the reader's own");
    };
    await expect(reader()).rejects.toThrow("the reader's own");
  });

  test("a neighbour's abort changes no token", async () => {
    const { door } = main();
    const kept = { ...request, maxTokens: 10, temperature: 1, seed: 8 };
    const alone = await ask(door, kept);
    const controller = new AbortController();
    const others = Array.from({ length: 3 }, () =>
      refused(ask(door, request, { signal: controller.signal }), "aborted"),
    );
    let numChunks = 0;
    const beside = await ask(door, kept, {}, () => {
      if (++numChunks === 4) controller.abort();
    });
    await Promise.all(others);
    expect(beside.ids).toEqual(alone.ids);
  });

  test("random requests and aborts leave nothing held", async () => {
    const run = fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 8 }), (visits) =>
      serve(main(), visits),
    );
    await fc.assert(run, { numRuns: abortRuns, seed: 7 });
  });
}

/** One request, and when its caller leaves: after so many chunks, by signal or by `return`. */
const visit = fc.record({
  promptTokens: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 60, max: 100 })),
  maxTokens: fc.integer({ min: 0, max: 8 }),
  penalty: fc.boolean(),
  leaveAfter: fc.option(fc.integer({ min: 0, max: 8 })),
  bySignal: fc.boolean(),
});

type Visit = typeof visit extends fc.Arbitrary<infer T> ? T : never;

async function serve(subject: Subject, visits: readonly Visit[]): Promise<void> {
  const outcomes = await Promise.allSettled(visits.map((each, i) => visitOnce(subject, each, i)));
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "aborted" });
  }
  await settled(subject);
}

async function visitOnce({ door }: Subject, visited: Visit, seed: number): Promise<void> {
  const { promptTokens, maxTokens, penalty, leaveAfter, bySignal } = visited;
  const controller = new AbortController();
  const prompt = randomIds(promptTokens, seed);
  const request = { prompt, maxTokens, ignoreEos: true, frequencyPenalty: penalty ? 1 : 0 };
  let numChunks = 0;
  // Aborting right after the start meets the prompt; the reader has not had a chunk yet.
  if (leaveAfter === 0 && bySignal) queueMicrotask(() => controller.abort());
  for await (const _ of door.generate(request, { signal: controller.signal })) {
    numChunks += 1;
    if (numChunks !== leaveAfter) continue;
    if (!bySignal) return;
    controller.abort();
  }
}
