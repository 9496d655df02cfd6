// Short prompts that come one by one while the GPU is busy: they go together, and nobody waits longer.

import { expect, test } from "vitest";
import type { PlanWork, SchedulerConfig } from "../../scheduler/index.ts";
import { request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

/** Weights are most of what a plan costs. */
const costs = { predictMs: ({ numTokens }: PlanWork) => 30 + 0.1 * numTokens };
const CONFIG: SchedulerConfig = {
  ...{ numLayers: 2, kvGroups: [{ kind: "full", numBlocks: 60 }], blockTokens: 16 },
  ...{ costs, quantumMs: 50 },
};
const short = (id: number) => request(id, 6, { maxTokens: 1 });

test("new prompts alone wait until the GPU is nearly done, then go together", () => {
  const serving = new Serving(CONFIG);
  serving.add(short(1));
  expect(spell(serving.schedule())).toBe("1:0-6*");
  serving.nowMs = 10;
  serving.add(short(2));
  expect(serving.schedule()).toBe("idle");
  // 30.6 ms, less a tenth.
  expect(serving.scheduler.wakeMs).toBeCloseTo(30.6 - 3.06, 9);
  serving.nowMs = 20;
  serving.add(short(3));
  expect(serving.schedule()).toBe("idle");
  serving.nowMs = 28;
  expect(spell(serving.schedule())).toBe("2:0-6* 3:0-6*");
  expect(serving.scheduler.wakeMs).toBeUndefined();
});

test("nobody waits who goes along with an answer under way, or when the GPU is free", () => {
  const serving = new Serving(CONFIG);
  serving.add(request(1, 6, { maxTokens: 5 }));
  serving.schedule();
  serving.nowMs = 5;
  serving.add(short(2));
  expect(serving.scheduler.wakeMs).toBeUndefined();
  expect(spell(serving.schedule())).toBe("1:6-7* 2:0-6*");
  serving.drain();
  serving.add(short(3));
  expect(spell(serving.schedule())).toBe("3:0-6*");
});
