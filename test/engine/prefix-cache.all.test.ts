// Prompts that begin alike: only what is new is computed, and no reader can tell.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GenerateRequest } from "../../runtime/request.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { type Answered, ask, randomIds, settled } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener, type Subject } from "./subject.ts";

// The model matters little here, and a step of all its layers is slow without a real GPU.
const openEngine = opener({
  platform: nodePlatform,
  folder: shallowFolder(demoFolder(), project() === "swiftshader" ? 1 : 2),
  device: project() === "reference" ? "reference" : "gpu",
});

const B = 32;
const PROMPT = randomIds(150, 5);
const MAX_TOKENS = 12;

const request = (prompt: readonly number[]): GenerateRequest => ({
  prompt: [...prompt],
  maxTokens: MAX_TOKENS,
  temperature: 1.2,
  seed: 3,
  topLogprobs: 3,
  ignoreEos: true,
});

/** Bits, not only choices. */
const visible = ({ ids, text, logprobs, usage }: Answered) => ({ ids, text, logprobs, usage });

// SwiftShader takes twenty seconds for each.
const storages = project() === "swiftshader" ? (["f32"] as const) : (["f16", "f32"] as const);
// What is found again is the host's business, and its one kernel, which copies blocks, has tests of its own.
const WHEN = "on SwiftShader in soak: what is found again is the host's business";
const isRun = project() !== "swiftshader" || scale("schedules", 0, 1) === 1;

describe.skipIf(!isRun).each(storages)(`KV cache in %s (${WHEN})`, (kv) => {
  let cached: Subject;
  let plain: Subject;

  beforeAll(async () => {
    const sizes = { kv, maxTokensPerPlan: 64, maxRows: 4 };
    plain = await openEngine({ ...sizes, prefixCache: false });
    cached = await openEngine(sizes, plain.engine.device);
  }, 300_000);
  afterAll(async () => {
    await cached?.door.close();
    await plain?.door.close();
  });

  /** The answer, and where its first row began. */
  async function asked(subject: Subject, prompt: readonly number[], cacheSalt?: string) {
    const numSteps = subject.steps.length;
    const answer = visible(await ask(subject.door, { ...request(prompt), cacheSalt }));
    await settled(subject);
    const rows = subject.steps.slice(numSteps).flatMap(({ plan }) => plan.rows);
    return { answer, from: rows[0].tokens.from };
  }

  test("a second request with the same prompt computes only its end", async () => {
    const first = await asked(cached, PROMPT);
    const second = await asked(cached, PROMPT);
    expect([first.from, second.from]).toEqual([0, 4 * B]);
    expect(second.answer).toEqual(first.answer);
    const alone = await asked(plain, PROMPT);
    expect([alone.from, (await asked(plain, PROMPT)).from]).toEqual([0, 0]);
    expect(first.answer).toEqual(alone.answer);
  });

  test("prompts that part on the way share what comes before", async () => {
    for (const numShared of [70, 128]) {
      const prompt = [...PROMPT.slice(0, numShared), ...randomIds(40, numShared)];
      const { from, answer } = await asked(cached, prompt);
      expect(from).toBe(B * Math.floor(numShared / B));
      expect(answer).toEqual((await asked(plain, prompt)).answer);
    }
  });

  test("nothing is shared with a request of another salt", async () => {
    const prompt = randomIds(70, 12);
    const plainFirst = await asked(cached, prompt);
    const salted = await asked(cached, prompt, "reader 1");
    expect([plainFirst.from, salted.from]).toEqual([0, 0]);
    expect((await asked(cached, prompt, "reader 1")).from).toBe(2 * B);
    expect(salted.answer).toEqual(plainFirst.answer);
  });

  test("the next turn of a conversation begins behind the last answer", async () => {
    const first = await asked(cached, randomIds(55, 9));
    const next = [...randomIds(55, 9), ...first.answer.ids, ...randomIds(10, 10)];
    // Of 55 + 12 tokens the last was never computed.
    const second = await asked(cached, next);
    expect(second.from).toBe(2 * B);
    expect(second.answer).toEqual((await asked(plain, next)).answer);
  });

  test("two at once, and a third after them", async () => {
    const prompt = randomIds(40, 11);
    const alone = await asked(plain, prompt);
    const both = await Promise.all([0, 1].map(() => ask(cached.door, request(prompt))));
    await settled(cached);
    for (const answer of both) expect(visible(answer)).toEqual(alone.answer);
    expect(await asked(cached, prompt)).toEqual({ answer: alone.answer, from: B });
  });
});

test("a request that is taken back finds its own blocks", async () => {
  const sizes = { maxTokensPerPlan: 64, maxRows: 4, forcePreemptionEvery: 3 };
  const subject = await openEngine(sizes);
  try {
    await ask(subject.door, request(PROMPT));
    await settled(subject);
    const plans = subject.steps.map(({ plan }) => plan);
    const rows = plans.flatMap(({ rows }) => rows);
    expect(plans.flatMap(({ preempted }) => preempted).length).toBeGreaterThanOrEqual(2);
    // It never starts again from 0, and all it computes again is a part of a block.
    expect(rows.filter(({ tokens }) => tokens.from === 0)).toHaveLength(1);
    rows.slice(1).forEach(({ tokens }, i) => {
      expect(rows[i].tokens.to - tokens.from).toBeLessThan(2 * B);
    });
  } finally {
    await subject.door.close();
  }
}, 300_000);
