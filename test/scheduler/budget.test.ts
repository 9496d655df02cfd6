import { describe, expect, test } from "vitest";
import { PlanBudget } from "../../scheduler/budget.ts";
import { resolveConfig, type SchedulerConfig } from "../../scheduler/config.ts";
import type { PlanWork } from "../../scheduler/cost-model.ts";

function budget(config: Partial<SchedulerConfig> = {}): PlanBudget {
  const kvGroups = [{ kind: "full" as const, numBlocks: 9 }];
  const resolved = resolveConfig({ numLayers: 2, kvGroups, blockTokens: 16, ...config });
  return new PlanBudget(resolved, resolved.quantumMs);
}

const chunk = (plan: PlanBudget, from: number, wanted: number): number =>
  plan.takeChunk({ from, wanted })?.count ?? 0;

describe("plan budget", () => {
  test("chunks get what decode tokens leave, and the cut one is the last", () => {
    const plan = budget({ maxTokensPerPlan: 100 });
    plan.takeToken(7);
    plan.takeToken(9);
    expect(chunk(plan, 0, 60)).toBe(60);
    expect(chunk(plan, 0, 60)).toBe(38);
    expect(chunk(plan, 0, 1)).toBe(0);
  });

  test("work counts what each token attends to, and the KV of each row once", () => {
    const plan = budget();
    plan.takeToken(7);
    chunk(plan, 4, 3);
    const work = { numTokens: 4, numKvTokens: 8 + 7, numAttended: 8 + (5 + 6 + 7) };
    expect(plan.parts).toEqual([{ work, share: 1 }]);
  });

  test("a chunk is the longest that the quantum holds", () => {
    const predictMs = ({ numTokens, numAttended }: PlanWork) =>
      1 + 0.01 * numTokens + 0.001 * numAttended;
    const plan = budget({ costs: { predictMs }, quantumMs: 8 });
    const count = chunk(plan, 0, 500);
    const work = (n: number) => ({ numTokens: n, numKvTokens: n, numAttended: (n * (n + 1)) / 2 });
    expect(plan.parts).toEqual([{ work: work(count), share: 1 }]);
    expect(plan.predictedMs).toBeLessThanOrEqual(8);
    expect(predictMs(work(count + 1))).toBeGreaterThan(8);
    expect(chunk(plan, 0, 5)).toBe(0);
  });

  test("beside answers that take more than half the quantum, a chunk takes as long again", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => numTokens };
    const plan = budget({ costs, quantumMs: 50 });
    for (let i = 0; i < 40; i++) plan.takeToken(9);
    expect(chunk(plan, 0, 200)).toBe(40);
    const light = budget({ costs, quantumMs: 50 });
    for (let i = 0; i < 10; i++) light.takeToken(9);
    expect(chunk(light, 0, 200)).toBe(40);
    // Chunks count with the first of them.
    expect(chunk(light, 0, 200)).toBe(0);
  });

  test("chunks get one block in all where the quantum holds nothing", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => 100 * numTokens };
    const plan = budget({ costs, quantumMs: 8 });
    plan.takeToken(3);
    expect(chunk(plan, 0, 10)).toBe(10);
    expect(chunk(plan, 0, 10)).toBe(6);
    expect(chunk(plan, 0, 10)).toBe(0);
    expect(chunk(budget({ costs, quantumMs: 8 }), 0, 500)).toBe(16);
    const tight = budget({ costs, quantumMs: 8, maxTokensPerPlan: 4 });
    expect(chunk(tight, 0, 500)).toBe(4);
  });
});
