// Answers whose next token needs the host (a grammar), beside answers that need nobody: how often they get one,
// and what that costs the others, on a clock of its own.

import { describe, expect, test } from "vitest";
import { Scheduler, type SequenceId, type WorkPlan } from "../../scheduler/index.ts";

interface Gpu {
  /** Of any plan. */
  readonly stepMs: number;
  /** From the end of a plan to its outcome on the host. */
  readonly readbackMs: number;
  /** What the host then takes to say what may follow. */
  readonly guideMs: number;
}

const FREE: readonly SequenceId[] = [1, 2, 3];
const GUIDED: SequenceId = 9;

/** @returns Tokens of each, and the share of the time in which the GPU had nothing to do. */
function serve({ stepMs, readbackMs, guideMs }: Gpu, hasGuided = true) {
  const scheduler = new Scheduler({
    numLayers: 1,
    kvGroups: [{ kind: "full", numBlocks: 1_000 }],
    costs: { predictMs: () => stepMs },
    quantumMs: 50,
  });
  for (const id of FREE) scheduler.add({ id, numPromptTokens: 4, maxTokens: 5_000 }, 0);
  if (hasGuided)
    scheduler.add({ id: GUIDED, numPromptTokens: 4, maxTokens: 5_000, pausesAt: 1 }, 0);
  const tokens = new Map([...FREE, GUIDED].map((id) => [id, 0]));
  const inFlight: { plan: WorkPlan; visibleMs: number }[] = [];
  let [nowMs, gpuFreeMs, idleMs] = [0, 0, 0];
  let wordMs = Number.POSITIVE_INFINITY;
  while (nowMs < 1_000) {
    if (wordMs <= nowMs) {
      wordMs = Number.POSITIVE_INFINITY;
      scheduler.resume(GUIDED, [], tokens.get(GUIDED)! + 1);
    }
    while (inFlight.length > 0 && inFlight[0].visibleMs <= nowMs) {
      const { plan } = inFlight.shift()!;
      const sampled = plan.rows.map(({ sequenceId }) => ({ sequenceId, finished: false }));
      for (const { sequenceId } of sampled) {
        tokens.set(sequenceId, tokens.get(sequenceId)! + 1);
        if (sequenceId === GUIDED) wordMs = nowMs + guideMs;
      }
      scheduler.commit({ planId: plan.id, gpuMs: stepMs, sampled }, nowMs);
    }
    for (;;) {
      const plan = scheduler.schedule(nowMs);
      if (plan === "idle") break;
      const startMs = Math.max(nowMs, gpuFreeMs);
      idleMs += startMs - gpuFreeMs;
      gpuFreeMs = startMs + stepMs;
      inFlight.push({ plan, visibleMs: gpuFreeMs + readbackMs });
    }
    const visibleMs = inFlight.at(0)?.visibleMs ?? Number.POSITIVE_INFINITY;
    nowMs = Math.min(visibleMs, wordMs, scheduler.wakeMs ?? Number.POSITIVE_INFINITY);
  }
  const free = Math.min(...FREE.map((id) => tokens.get(id)!));
  return { free, guided: tokens.get(GUIDED)!, idleShare: idleMs / nowMs };
}

describe.each([
  { stepMs: 5, readbackMs: 1, guideMs: 0.2 },
  { stepMs: 5, readbackMs: 4, guideMs: 0.2 },
  { stepMs: 20, readbackMs: 2, guideMs: 1 },
  { stepMs: 1, readbackMs: 3, guideMs: 0.1 },
])("$stepMs ms a step, read after $readbackMs ms", (gpu) => {
  const { free, guided, idleShare } = serve(gpu);

  test("it has a token whenever the GPU can have done something else while one was read", () => {
    // Plans of others meanwhile; two milliseconds are kept in hand.
    const between = Math.ceil((gpu.readbackMs + 2) / gpu.stepMs);
    expect(guided).toBeGreaterThan((0.95 * free) / (2 + between));
    if (gpu.stepMs > 1) expect(guided).toBeGreaterThan((0.95 * free) / (1 + between));
  });

  test("the others have as many as without it, and the GPU is busy", () => {
    expect(free).toBeGreaterThan(0.99 * serve(gpu, false).free);
    expect(idleShare).toBeLessThan(0.005);
  });
});

test("a guide that takes long is not waited for", () => {
  const gpu = { stepMs: 5, readbackMs: 1, guideMs: 40 };
  const { free, guided, idleShare } = serve(gpu);
  expect(free).toBeGreaterThan(0.99 * serve(gpu, false).free);
  expect(guided).toBeGreaterThan(15);
  expect(idleShare).toBeLessThan(0.005);
});
