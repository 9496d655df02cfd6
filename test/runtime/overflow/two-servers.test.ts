// A small engine and a second server as its cluster, both with the demo model on the reference device.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine, type EngineApi, withOverflow } from "../../../node.ts";
import { type Server, serve } from "../../../server.ts";
import { report, scale } from "../../harness/soak.ts";

const KEY = "sk-test";
const demo = { model: "demo", device: "reference" } as const;
const timeouts = { idleMs: 5_000 };

let far: Engine;
let server: Server;
let here: Engine;
let engine: EngineApi;

beforeAll(async () => {
  far = await createEngine(demo);
  server = await serve(far, { port: 0, apiKeys: [KEY], drainMs: 0 });
  here = await createEngine({ ...demo, maxRows: 2 });
});
afterAll(async () => {
  await server.close();
  await far.close();
  await here.close();
});

/** @param queueMs The wait that is too long. */
async function overflowBeyond(queueMs: number): Promise<void> {
  const options = { baseURL: server.url, apiKey: KEY, timeouts, when: { queueMs } };
  engine = await withOverflow(here, options);
}

const overflow = async () => (await engine.metrics()).overflow!;
const ask = (content: string, seed?: number) => ({
  messages: [{ role: "user", content }],
  ...(seed === undefined ? { temperature: 0 } : { seed }),
});
const SORT = "Sort these words: pear, wolf, apple";

describe("a burst beyond what the engine can take at once", () => {
  test("goes to the cluster as far as it would wait, and every answer is the same", async () => {
    const numRounds = scale("overflow", 1, 10);
    const numRequests = 12 * numRounds;
    // How long an answer takes is known from then on.
    const startMs = performance.now();
    for (let i = 0; i < 3; i++) await here.chat.completions.create(ask(SORT));
    const answerMs = (performance.now() - startMs) / 3;
    await overflowBeyond(1.5 * answerMs);
    const answers: (string | undefined)[] = [];
    const callers = Array.from({ length: 12 }, async () => {
      for (let round = 0; round < numRounds; round++) {
        const { choices } = await engine.chat.completions.create(ask(SORT));
        answers.push(choices[0].message.content?.trim());
      }
    });
    await Promise.all(callers);
    expect(new Set(answers)).toEqual(new Set(["Sorted: apple, pear, wolf"]));
    const { local, cluster, reasons, movedToLocal, clusterState } = await overflow();
    const most = (await here.metrics()).recent.requests.overall.queueMs;
    report("overflow", {
      ...{ requests: numRequests, local, cluster, whenQueueMs: 1.5 * answerMs, answerMs },
      localQueueMs: most,
    });
    expect(local + cluster).toBe(numRequests);
    // What runs at once stays, and so does what is done before it has waited for long.
    expect(local).toBeGreaterThanOrEqual(2);
    expect(cluster).toBeGreaterThanOrEqual(2);
    expect(reasons.queue).toBe(cluster);
    expect([movedToLocal, clusterState.state]).toEqual([0, "closed"]);
  });

  test("by its deadline, which the cluster hears of", async () => {
    await overflowBeyond(1e6);
    const texts = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const request = { ...ask(SORT), deadline_ms: 5 };
        return (await engine.chat.completions.create(request)).choices[0].message.content;
      }),
    );
    expect(new Set(texts).size).toBe(1);
    expect((await overflow()).reasons).toMatchObject({ deadline: expect.any(Number), queue: 0 });
    expect((await overflow()).reasons.deadline).toBeGreaterThan(0);
  });
});

describe("the death of the cluster", () => {
  test("in mid-answer brings every stream back, and nothing is said twice", async () => {
    const heroes = ["Lily", "Tom", "Mia", "Ben", "Anna", "Max", "Lucy", "Sam"];
    const stories = heroes.slice(0, scale("overflow", 2, 4)).map((name) => ({
      ...ask(`Tell me a story about a fox named ${name}.`),
      max_tokens: scale("overflow", 48, 400),
    }));
    // While the engine has anything to do, others go there.
    await overflowBeyond(0);
    const busy = new AbortController();
    const taken = [1, 2].map((seed) =>
      here.chat.completions
        .create({ ...ask("Tell me a story about an owl.", seed), max_tokens: 400 }, busy)
        .catch(() => {}),
    );
    const texts = stories.map(() => "");
    let numBegun = 0;
    let kill = () => {};
    const killed = new Promise<void>((resolve) => {
      kill = resolve;
    });
    const reading = stories.map(async (story, i) => {
      const stream = await engine.chat.completions.create({ ...story, stream: true });
      let numChunks = 0;
      for await (const { choices } of stream) {
        texts[i] += choices[0].delta.content ?? "";
        numChunks += 1;
        if (numChunks === 12 && ++numBegun === stories.length) kill();
        if (numChunks === 12) await killed;
      }
    });
    await killed;
    busy.abort();
    await server.close();
    await Promise.all(reading);
    await Promise.all(taken);
    const { continued, broken } = await overflow();
    report("overflow", { streams: stories.length, continued, broken });
    expect([continued, broken]).toEqual([stories.length, 0]);
    for (const [i, text] of texts.entries()) {
      const { choices } = await far.chat.completions.create(stories[i]);
      const whole = choices[0].message.content!;
      // What was said there stands, and what follows it is a story's rest.
      expect(text.slice(0, 30)).toBe(whole.slice(0, 30));
      expect(text.length).toBeGreaterThan(0.5 * whole.length);
      const words = text.split(/\s+/);
      const twice = words.findIndex((word, at) => at > 0 && word === words[at - 1]);
      expect(twice, text).toBe(-1);
    }
  });

  test("keeps what comes later here, until it is back", async () => {
    const before = await overflow();
    const texts = await Promise.all(
      Array.from({ length: 6 }, async () => {
        return (await engine.chat.completions.create(ask(SORT))).choices[0].message.content;
      }),
    );
    expect(new Set(texts).size).toBe(1);
    const after = await overflow();
    expect(after.kept + after.movedToLocal).toBeGreaterThan(before.kept + before.movedToLocal);
    expect(after.clusterState.failures).toBeGreaterThan(0);
  });
});

test("the death of the engine sends all to the cluster", async () => {
  const revived = await serve(far, { port: 0, apiKeys: [KEY], drainMs: 0 });
  const small = await createEngine({ ...demo, maxRows: 2 });
  const both = await withOverflow(small, { baseURL: revived.url, apiKey: KEY, timeouts });
  const { content: whole } = (await far.chat.completions.create(ask(SORT))).choices[0].message;
  const stream = await both.chat.completions.create({ ...ask(SORT), stream: true });
  let text = "";
  for await (const { choices } of stream) {
    text += choices[0].delta.content ?? "";
    if (text.startsWith("Sorted: apple,")) await small.close();
  }
  expect(text).toBe(whole);
  expect((await both.chat.completions.create(ask(SORT))).choices[0].message.content).toBe(whole);
  const { overflow: counts } = await both.metrics();
  expect(counts).toMatchObject({ reasons: { lost: expect.any(Number) }, broken: 0 });
  await both.close();
  await revived.close();
});
