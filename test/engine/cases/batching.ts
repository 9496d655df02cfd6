// Many requests at once: the same ids as alone, in plans that mix them, at a cost in dispatches that
// does not grow with their number.

import { expect, test, vi } from "vitest";
import type { GenerateRequest } from "../../../runtime/request.ts";
import { Scheduler } from "../../../scheduler/scheduler.ts";
import { project } from "../../harness/project.ts";
import { type Answered, ask, randomIds, settled } from "../ask.ts";
import { MAX_ROWS, type Step, type Subject, type Subjects } from "../subject.ts";

/** Prompt lengths; the last six join while the first ten are answering. */
const LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17, 33, 48, 65, 90, 130];
const FIRST_WAVE = 10;

// Greedy and drawn with seeds, plain and with every setting that keeps state per slot.
const requests: GenerateRequest[] = LENGTHS.map((length, i) => ({
  prompt: randomIds(length, 50 + i),
  maxTokens: i < FIRST_WAVE ? 12 + (i % 4) : 3 + (i % 3),
  ignoreEos: true,
  ...(i % 2 === 1 && { temperature: 1.5, seed: i, topP: 0.95, topK: 100 }),
  ...(i % 4 === 3 && { repetitionPenalty: 1.2, frequencyPenalty: 0.5 }),
  ...(i % 5 === 2 && { logitBias: { 100: 5, 200: -100 } }),
  ...(i % 6 === 1 && { topLogprobs: 3 }),
}));

export function batching({ main, other, otherKv, takesBack }: Subjects): void {
  const storages = [
    ["f16", main],
    [otherKv, other],
  ] as const;
  // A browser clears workgroup memory: half a minute for each. Its kernels are those of SwiftShader.
  test.each(project() === "chromium" ? storages.slice(0, 1) : storages)(
    "sixteen requests at once give what each gives alone, KV cache in %s",
    async (_, subject) => {
      const { door, steps } = subject();
      const alone: Answered[] = [];
      for (const request of requests) alone.push(await ask(door, request));
      const numSteps = steps.length;
      const together = await askInTwoWaves(subject());
      expect(together.map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
      expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
      // Bits, not only choices.
      const floats = (answers: readonly Answered[]) => answers.map(({ logprobs }) => logprobs);
      expect(floats(together)).toEqual(floats(alone));
      if (!takesBack) expectMixedPlans(steps.slice(numSteps));
    },
    180_000,
  );

  test("a step takes as many dispatches for 16 rows as for 1", async () => {
    const { door, steps } = main();
    const counts = new Map<number, number>();
    for (const numRows of [1, 4, 16]) {
      const decodes: Step[] = [];
      // Whoever is taken back goes on when its readback has come, on a busy machine after the others.
      for (let attempt = 0; attempt < 5 && decodes.length === 0; attempt++) {
        const from = steps.length;
        await Promise.all(
          Array.from({ length: numRows }, (_, i) =>
            ask(door, { prompt: randomIds(1, i), maxTokens: 4, ignoreEos: true }),
          ),
        );
        decodes.push(...steps.slice(from).filter(({ plan }) => isDecode(plan.rows, numRows)));
      }
      expect(decodes.length, `plans with ${numRows} decodes`).toBeGreaterThan(0);
      const dispatches = new Set(decodes.map((step) => step.dispatches));
      expect(dispatches.size).toBe(1);
      counts.set(numRows, [...dispatches][0]);
    }
    expect(counts.get(4)).toBe(counts.get(1));
    expect(counts.get(16)).toBe(counts.get(1));
    const { spec } = main().engine.plan;
    expect(counts.get(1)! / spec.layers.length).toBeLessThanOrEqual(12);
  });

  test("the scheduler learns the GPU time of every plan", async () => {
    const { door, steps } = main();
    const from = steps.length;
    const commit = vi.spyOn(Scheduler.prototype, "commit");
    const startedMs = performance.now();
    await Promise.all(
      [1, 90].map((length) =>
        ask(door, { prompt: randomIds(length, length), maxTokens: 6, ignoreEos: true }),
      ),
    );
    await settled(main());
    const wallMs = performance.now() - startedMs;
    const outcomes = commit.mock.calls.map(([outcome]) => outcome);
    commit.mockRestore();
    expect(outcomes.map(({ planId }) => planId)).toEqual(
      steps.slice(from).map(({ plan }) => plan.id),
    );
    const gpuMs = outcomes.map((outcome) => outcome.gpuMs);
    expect(gpuMs.filter((ms) => !(ms >= 0))).toEqual([]);
    const sum = gpuMs.reduce((total, ms) => total + ms);
    expect(sum).toBeGreaterThan(0);
    // Timestamps may be rounded, by up to 0.1 ms each.
    expect(sum).toBeLessThan(wallMs + 0.1 * gpuMs.length);
  });

  test("more requests than rows come in waves, and all are answered", async () => {
    const { door, steps } = main();
    const from = steps.length;
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        ask(door, { prompt: randomIds(1 + (i % 3), i), maxTokens: 3 + (i % 3), ignoreEos: true }),
      ),
    );
    expect(answers.map(({ ids }) => ids.length)).toEqual(answers.map((_, i) => 3 + (i % 3)));
    const rows = steps.slice(from).map(({ plan }) => plan.rows.length);
    expect(Math.max(...rows)).toBe(MAX_ROWS);
  });

  test("streams of one engine are read independently", async () => {
    const { door } = main();
    const request = { prompt: "Once", maxTokens: 5, ignoreEos: true };
    const slow = door.generate(request)[Symbol.asyncIterator]();
    const first = await slow.next();
    const whole = await ask(door, request);
    const ids = first.done ? [] : [...first.value.tokenIds];
    for (let next = await slow.next(); !next.done; next = await slow.next()) {
      ids.push(...next.value.tokenIds);
    }
    expect(ids).toEqual(whole.ids);
  });
}

/** The second wave starts when the first answers its first token. */
async function askInTwoWaves({ door }: Subject) {
  let join = () => {};
  const joined = new Promise<void>((resolve) => {
    join = resolve;
  });
  const first = requests.slice(0, FIRST_WAVE).map((request) => ask(door, request, {}, join));
  await joined;
  const second = requests.slice(FIRST_WAVE).map((request) => ask(door, request));
  return Promise.all([...first, ...second]);
}

function expectMixedPlans(steps: readonly Step[]): void {
  const plans = steps.map(({ plan }) => plan);
  const mixed = plans.findIndex(({ rows }) => {
    const decodes = rows.filter(({ tokens }) => tokens.from > 0 && tokens.to - tokens.from === 1);
    const chunks = rows.filter(({ tokens }) => tokens.to - tokens.from > 1);
    return decodes.length >= 8 && chunks.length >= 1;
  });
  expect(mixed, "a plan with 8 decodes and a prefill chunk").toBeGreaterThanOrEqual(0);
  // Some join after others have begun to answer, some leave while others go on.
  const ids = (plan: (typeof plans)[number]) => plan.rows.map(({ sequenceId }) => sequenceId);
  const before = new Set(plans.slice(0, mixed).flatMap(ids));
  expect(ids(plans[mixed]).some((id) => !before.has(id))).toBe(true);
  expect([...before].some((id) => !ids(plans.at(-1)!).includes(id))).toBe(true);
}

const isDecode = (rows: Step["plan"]["rows"], numRows: number): boolean =>
  rows.length === numRows &&
  rows.every(({ tokens }) => tokens.from > 0 && tokens.to - tokens.from === 1);
