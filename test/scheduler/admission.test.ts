// Who may start, by each policy, and that lengths are learnt from those that ended.

import { describe, expect, test } from "vitest";
import { peakTokens } from "../../scheduler/admission/past-future.ts";
import {
  type AdmissionName,
  Scheduler,
  type SchedulerConfig,
  type SequenceRequest,
} from "../../scheduler/index.ts";
import { expectedIds } from "./fake-device.ts";
import { codeOf, request } from "./plans.ts";
import { Serving } from "./serving.ts";

const CONFIG: SchedulerConfig = {
  numLayers: 2,
  kvGroups: [{ kind: "full", numBlocks: 1 + 64 }],
  blockTokens: 16,
  maxTokensPerPlan: 512,
  maxRows: 64,
};

/** How many of equal requests run beside each other, all of 16 prompt tokens, in 1,024 tokens. */
function numStarted(admission: AdmissionName, rest: Partial<SequenceRequest>, config = CONFIG) {
  const serving = new Serving({ ...config, admission });
  for (let id = 1; id <= 64; id++) {
    serving.add(request(id, 16, { maxTokens: 113, ...rest }));
  }
  for (let i = 0; i < 3; i++) serving.schedule();
  return serving.scheduler.numRunning;
}

describe("policies", () => {
  // A request comes to hold 16 + 113 − 1 = 128 tokens: 8 of 64 blocks.
  test("conservative: as many as could all reach their last token", () => {
    expect(numStarted("conservative", {})).toBe(8);
  });

  test("optimistic: as many as fit now", () => {
    // One block each; with the second token, a second.
    expect(numStarted("optimistic", {})).toBeGreaterThan(31);
  });

  test("oracle: as many as will fit, knowing when each ends", () => {
    const lockstep = { ...CONFIG, maxRunAhead: 1 };
    // 17 tokens at the end, 127 and one that runs while the end is read: two blocks each, or eight.
    expect(numStarted("oracle", { outputTokens: 2 }, lockstep)).toBe(32);
    expect(numStarted("oracle", { outputTokens: 112 }, lockstep)).toBe(8);
  });

  test("oracle without a length is an error that says so", () => {
    const serving = new Serving({ ...CONFIG, admission: "oracle" });
    serving.add(request(1, 16));
    serving.add(request(2, 16));
    expect(codeOf(() => serving.schedule())).toBe("bad_request");
  });

  test("past-future: nothing known, about as careful as conservative, and no more than its reserve", () => {
    const started = numStarted("past-future", {});
    expect(started).toBeGreaterThanOrEqual(6);
    expect(started).toBeLessThanOrEqual(16);
  });

  test("any of them starts one that takes the whole pool, when it is alone", () => {
    for (const admission of ["past-future", "conservative", "optimistic"] as const) {
      const serving = new Serving({ ...CONFIG, admission });
      serving.add(request(1, 1000, { maxTokens: 25 }));
      serving.drain();
      expect(serving.ids(1)).toHaveLength(25);
    }
  });

  test("window groups are reserved by every policy: for a prompt in full, then for its answer", () => {
    // 128 tokens of which 16 + 15 are seen: three blocks at worst, two when the prompt is computed.
    const kvGroups = [{ kind: "window" as const, window: 16, numBlocks: 1 + 30 }];
    for (const admission of ["past-future", "conservative", "optimistic"] as const)
      expect(numStarted(admission, {}, { ...CONFIG, kvGroups })).toBe(14);
    // A long prompt's chunks may take 34 blocks, so nobody starts before the last of them is planned.
    const serving = new Serving({ ...CONFIG, kvGroups: [{ ...kvGroups[0]!, numBlocks: 1 + 35 }] });
    serving.add(request(1, 900, { maxTokens: 9 }));
    serving.add(request(2, 16, { maxTokens: 9 }));
    const running = [1, 2].map(() => {
      serving.schedule();
      return serving.scheduler.numRunning;
    });
    expect(running).toEqual([1, 2]);
  });
});

describe("past-future learns", () => {
  /** Requests may sample 200 tokens and stop after `length`. */
  function serve(serving: Serving, ids: number[], length: number, priority?: "agent") {
    for (const id of ids)
      serving.add(request(id, 16, { maxTokens: 200, stopAfter: length, priority }));
    serving.drain(2);
  }
  const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
  const mostAtOnce = (serving: Serving, from: number) =>
    Math.max(...serving.plans.slice(from).map(({ rows }) => rows.length));

  test("short answers let more start; nobody of them is taken back", () => {
    const serving = new Serving({ ...CONFIG, admission: "past-future" });
    serve(serving, range(1, 60), 4);
    const numPlans = serving.plans.length;
    serve(serving, range(101, 64), 4);
    expect(serving.plans[0].rows.length).toBeLessThan(8);
    expect(mostAtOnce(serving, numPlans)).toBeGreaterThan(24);
    expect(serving.plans.slice(numPlans).flatMap(({ preempted }) => preempted)).toEqual([]);
  });

  test("a class of long answers does not suffer from one of short ones", () => {
    const serving = new Serving({ ...CONFIG, admission: "past-future" });
    serve(serving, range(1, 60), 4);
    const numPlans = serving.plans.length;
    serve(serving, range(101, 30), 200, "agent");
    expect(mostAtOnce(serving, numPlans)).toBeLessThan(12);
    const takenBack = serving.plans.slice(numPlans).flatMap(({ preempted }) => preempted);
    expect(takenBack.length).toBeLessThan(3);
  });

  test("when answers grow longer than they were, all still end with their own ids", () => {
    const serving = new Serving({ ...CONFIG, admission: "past-future" });
    serve(serving, range(1, 60), 4);
    serve(serving, range(101, 64), 60);
    for (const id of range(101, 64))
      expect(serving.ids(id)).toEqual(
        expectedIds(serving.progress.get(id)!.request, CONFIG.kvGroups),
      );
    expect(serving.scheduler.freeBlocks).toEqual([64]);
  });

  test("the same seed makes the same plans, another seed others", () => {
    const plans = (seed: number) => {
      const serving = new Serving({ ...CONFIG, admission: "past-future", seed });
      for (let id = 1; id <= 40; id++)
        serving.add(request(id, 10 + id, { stopEvery: 9, maxTokens: 99 }));
      serving.drain(4);
      return serving.plans;
    };
    expect(plans(1)).toEqual(plans(1));
    expect(plans(1)).not.toEqual(plans(2));
  });
});

test("peak of memory: each end with all that end later", () => {
  expect(peakTokens([])).toBe(0);
  expect(peakTokens([{ used: 10, left: 5 }])).toBe(15);
  // When the second ends, the first has grown as much: 2 · 5 + 30 > 10 + 20.
  const two = [
    { used: 10, left: 20 },
    { used: 20, left: 5 },
  ];
  expect(peakTokens(two)).toBe(40);
  expect(peakTokens(two.toReversed())).toBe(40);
});

test("latents are kept of every token: whoever answers leaves room for others", () => {
  const kvGroups = [{ kind: "latent" as const, numBlocks: 101 }];
  const scheduler = new Scheduler({ numLayers: 2, kvGroups });
  scheduler.add({ id: 1, numPromptTokens: 40, maxTokens: 20 }, 0);
  scheduler.schedule(0);
  scheduler.schedule(1);
  scheduler.add({ id: 2, numPromptTokens: 40, maxTokens: 20 }, 2);
  const plan = scheduler.schedule(2);
  expect(scheduler.numRunning).toBe(2);
  expect(plan === "idle" ? [] : plan.rows.map(({ sequenceId }) => sequenceId)).toEqual([1, 2]);
});
