// Requests that leave layers out: what they hold, what they share, what their plans are predicted to take.

import { describe, expect, test } from "vitest";
import {
  type LayerPlan,
  type PlanWork,
  Scheduler,
  type SchedulerConfig,
  type SequenceRequest,
  type WorkPlan,
} from "../../scheduler/index.ts";
import { expectedIds } from "./fake-device.ts";
import { planOf } from "./layer-plans.ts";
import { codeOf, request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

const full = { kind: "full", numBlocks: 1 + 10 } as const;
const CONFIG: SchedulerConfig = {
  ...{ numLayers: 2, kvGroups: [full, full], blockTokens: 16, prefixCache: true },
};
/** By bit: attention and MLP of the first layer, then of the second. */
const noFirstAttention = planOf(2, 0b1);
const noSecondLayer = planOf(2, 0b1100);

describe("a request that leaves layers out", () => {
  test("holds nothing in a group that its plan keeps nothing in", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 40, { layerPlan: noFirstAttention }));
    const { rows } = serving.schedule() as WorkPlan;
    expect(rows[0].blockTables.map((table) => table.length)).toEqual([0, 3]);
    expect(serving.scheduler.freeBlocks).toEqual([10, 7]);
    serving.drain();
    expect(serving.ids(1)).toEqual(expectedIds(serving.progress.get(1)!.request, CONFIG.kvGroups));
  });

  test("may be as long as the groups allow that it keeps anything in", () => {
    const kvGroups = [{ kind: "full", numBlocks: 1 + 2 } as const, full];
    const serving = new Serving({ ...CONFIG, kvGroups });
    expect(codeOf(() => serving.add(request(1, 60)))).toBe("request_too_long");
    serving.add(request(2, 60, { layerPlan: noFirstAttention }));
    serving.drain();
    expect(serving.ids(2)).toHaveLength(8);
  });

  test("shares with those of its plan alone", () => {
    const serving = new Serving(CONFIG);
    const { promptTokens } = request(1, 40);
    const first = (layerPlan = noSecondLayer, id = 1) => {
      serving.add({ ...request(id, 40), promptTokens, layerPlan });
      const plan = spell(serving.schedule());
      serving.drain();
      return plan;
    };
    expect(first()).toBe("1:0-40*");
    expect(first(noFirstAttention, 2)).toBe("2:0-40*");
    expect(first(planOf(2, 0), 3)).toBe("3:0-40*");
    expect(first(noSecondLayer, 4)).toBe("4:32-40*");
  });

  test("runs by the configuration's plan if it names none", () => {
    const layerPlan = noSecondLayer;
    const serving = new Serving({ ...CONFIG, layerPlan });
    serving.add(request(1, 20));
    serving.add(request(2, 20, { layerPlan: planOf(2, 0) }));
    const { rows } = serving.schedule() as WorkPlan;
    expect(rows.map(({ layerPlan }) => layerPlan?.hash)).toEqual([
      layerPlan.hash,
      planOf(2, 0).hash,
    ]);
    serving.drain();
    const { request: asked } = serving.progress.get(1)!;
    expect(serving.ids(1)).toEqual(expectedIds(asked, CONFIG.kvGroups, layerPlan));
    expect(serving.ids(1)).not.toEqual(expectedIds(asked, CONFIG.kvGroups));
  });

  test("a plan takes what its rows run: a stage's weights are read once for all who run it", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => 10 + numTokens };
    const predictedMs = (...plans: (typeof noSecondLayer | undefined)[]) => {
      const serving = new Serving({ ...CONFIG, costs });
      plans.forEach((layerPlan, id) => {
        serving.add(request(id, 4, { layerPlan }));
      });
      return (serving.schedule() as WorkPlan).predictedMs;
    };
    expect(predictedMs(undefined)).toBe(14);
    expect(predictedMs(noSecondLayer)).toBe(7);
    // Four tokens in one layer and eight in the other.
    expect(predictedMs(undefined, noSecondLayer)).toBe((18 + 14) / 2);
  });
});

describe("a plan made for another model", () => {
  const { runs, keeps, hash } = planOf(2, 0);
  test.each<[string, LayerPlan, RegExp]>([
    ["of three layers", planOf(3, 0), /has 8 runs, it needs 6, .*2 · 2 layers \+ 2; make it for/],
    ["of other KV groups", { runs, keeps: [true], hash }, /has 1 keeps, it needs 2, one per KV/],
    ["that fills too little", { runs, fills: [false], keeps, hash }, /has 1 fills, it needs 6/],
  ])("%s is refused", (_, layerPlan, message) => {
    const scheduler = new Scheduler(CONFIG);
    const ask = (how: Partial<SequenceRequest>) => () =>
      scheduler.add({ id: 7, numPromptTokens: 3, maxTokens: 3, ...how }, 0);
    const refused = [
      [() => new Scheduler({ ...CONFIG, layerPlan }), "bad_config", /^layerPlan has/],
      [ask({ layerPlan }), "bad_request", /^layerPlan of sequence 7 has/],
      [ask({ alternation: { layerPlan, period: 2 } }), "bad_request", /^alternation of sequence 7/],
    ] as const;
    for (const [attempt, code, whose] of refused) {
      expect(codeOf(attempt)).toBe(code);
      expect(attempt).toThrow(whose);
      expect(attempt).toThrow(message);
    }
    expect(scheduler.numWaiting).toBe(0);
  });
});
