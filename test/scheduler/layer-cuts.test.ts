// Prompts cut by layers: when the scheduler does it, and what it does with what waits in between.

import { describe, expect, test } from "vitest";
import {
  type PlanWork,
  Scheduler,
  type SchedulerConfig,
  type WorkPlan,
} from "../../scheduler/index.ts";
import { request } from "./plans.ts";
import { fixedDrafter } from "./scripted-drafter.ts";
import { Serving } from "./serving.ts";

const kvGroups = [0, 1, 2, 3].map(() => ({ kind: "full" as const, numBlocks: 100 }));
/** Weights take 30 ms however few tokens there are, and above 300 tokens arithmetic takes longest. */
const readsWeights = { predictMs: ({ numTokens }: PlanWork) => Math.max(30, numTokens / 10) };
/** Arithmetic takes longest from the first token on. */
const computes = { predictMs: ({ numTokens }: PlanWork) => numTokens / 10 };
const CONFIG: SchedulerConfig = {
  ...{ numLayers: 4, kvGroups, blockTokens: 16, maxTokensPerPlan: 320, maxRows: 4 },
  ...{ costs: readsWeights, quantumMs: 8, maxParkedTokens: 320 },
};

/** `id:from-to` and the stages where they are not all. */
function spell({ rows }: WorkPlan): string {
  return rows
    .map(({ sequenceId, tokens, stages }) => {
      const layers = stages.to - stages.from === 10 ? "" : `/${stages.from}-${stages.to}`;
      return `${sequenceId}:${tokens.from}-${tokens.to}${layers}`;
    })
    .join(" ");
}

function plansOf(config: SchedulerConfig, numPrompt: number): string[] {
  const serving = new Serving(config);
  serving.add(request(1, numPrompt, { maxTokens: 1 }));
  serving.drain();
  return serving.plans.map(spell);
}

describe("a prompt that exceeds the quantum", () => {
  test("is cut between sublayers where weights take longest", () => {
    // A layer of all 300 tokens takes 7.5 ms.
    expect(plansOf(CONFIG, 300)).toEqual([
      "1:0-300/0-3",
      "1:0-300/3-5",
      "1:0-300/5-7",
      "1:0-300/7-10",
    ]);
  });

  test("is cut by tokens where arithmetic does, since nothing is gained by parking", () => {
    const plans = plansOf({ ...CONFIG, costs: computes }, 300);
    expect(plans).toEqual(["1:0-80", "1:80-160", "1:160-240", "1:240-300"]);
  });

  test("is cut as told", () => {
    const byTokens = plansOf({ ...CONFIG, cutBy: "tokens" }, 40);
    expect(byTokens).toEqual(["1:0-16", "1:16-32", "1:32-40"]);
    const byLayers = plansOf({ ...CONFIG, costs: computes, cutBy: "layers" }, 300);
    expect(byLayers[0]).toBe("1:0-300/0-3");
  });

  test("is cut by tokens where no sublayer fits, or nothing may be parked", () => {
    const slow = { predictMs: () => 100 };
    expect(plansOf({ ...CONFIG, costs: slow }, 40)).toEqual(["1:0-16", "1:16-32", "1:32-40"]);
    expect(plansOf({ ...CONFIG, maxParkedTokens: 0 }, 40)[0]).toBe("1:0-16");
  });

  test("parks fewer tokens where a sublayer of all does not fit", () => {
    // A sublayer of 630 tokens takes 7.9 ms, one of 315 takes 3.9.
    const config = { ...CONFIG, maxTokensPerPlan: 1300, maxParkedTokens: 1300, quantumMs: 8 };
    expect(plansOf(config, 630)[0]).toBe("1:0-630/0-2");
    expect(plansOf({ ...config, quantumMs: 5 }, 630)[0]).toBe("1:0-315/0-2");
  });
});

describe("beside others", () => {
  test("answers go on in every plan, through all layers", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => Math.max(30, numTokens / 4) };
    const serving = new Serving({ ...CONFIG, costs, quantumMs: 40, cutBy: "layers" });
    serving.add(request(1, 10));
    serving.schedule();
    serving.commit();
    serving.add(request(2, 300, { maxTokens: 1 }));
    serving.drain();
    const beside = serving.plans.filter(({ rows }) => rows.at(-1)!.sequenceId === 2);
    expect(beside.map(spell)).toEqual(["1:10-11 2:0-300/0-6", "1:11-12 2:0-300/6-10"]);
  });

  test("nothing is gained by layers: the answers' step reads all weights anyway", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => Math.max(30, numTokens / 4) };
    const serving = new Serving({ ...CONFIG, costs, quantumMs: 40 });
    serving.add(request(1, 10));
    serving.schedule();
    serving.commit();
    serving.add(request(2, 300, { maxTokens: 1 }));
    expect(spell(serving.schedule() as WorkPlan)).toBe("1:10-11 2:0-239");
    serving.drain();
  });

  test("an urgent arrival goes between the layers, which wait where they are", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 300, { maxTokens: 1, priority: "background" }));
    expect(spell(serving.schedule() as WorkPlan)).toBe("1:0-300/0-3");
    serving.add(request(2, 10, { maxTokens: 1 }));
    expect(spell(serving.schedule() as WorkPlan)).toBe("2:0-10");
    serving.drain();
    expect(serving.plans.slice(2).map(spell)).toEqual([
      "1:0-300/3-5",
      "1:0-300/5-7",
      "1:0-300/7-10",
    ]);
  });

  test("an urgent prompt is parked too, as far as there is a place", () => {
    const serving = new Serving({ ...CONFIG, maxParkedTokens: 400 });
    serving.add(request(1, 300, { maxTokens: 1, priority: "background" }));
    serving.schedule();
    serving.add(request(2, 300, { maxTokens: 1 }));
    expect(spell(serving.schedule() as WorkPlan)).toBe("2:0-100/0-3");
    serving.drain();
  });

  test("drafts that are verified in every plan leave it a place", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => Math.max(30, numTokens / 4) };
    const config = { ...CONFIG, costs, quantumMs: 40, cutBy: "layers" } as const;
    const scheduler = new Scheduler({ ...config, maxDraftTokens: 8 });
    const wish = { tokens: 8, layerPlan: undefined, way: 0 };
    const next = (proposed: number) => (proposed > 0 ? wish : undefined);
    const drafter = { ...fixedDrafter(wish), waitsForHost: true, next };
    scheduler.add({ id: 1, numPromptTokens: 10, maxTokens: 1000, drafter }, 0);
    const ran: number[][] = [];
    for (let i = 0; i < 4; i++) {
      if (i === 1) scheduler.add({ id: 2, numPromptTokens: 320, maxTokens: 1 }, 0);
      const plan = scheduler.schedule(0) as WorkPlan;
      ran.push(plan.rows.map(({ sequenceId }) => sequenceId));
      const sampled = plan.rows
        .filter(({ sample }) => sample)
        .map(({ sequenceId, kind }) => {
          const told = kind === "verify" ? { tokenIds: [1, 2] } : { tokenId: 1 };
          return { sequenceId, finished: false, proposed: i > 0 ? 8 : 0, ...told };
        });
      scheduler.commit({ planId: plan.id, gpuMs: 1, sampled }, 0);
    }
    expect(ran).toEqual([[1], [1, 2], [1, 2], [1, 2]]);
  });

  test("whoever is aborted or taken back leaves nothing parked", () => {
    const serving = new Serving({ ...CONFIG, maxParkedTokens: 300, maxRows: 1 });
    serving.add(request(1, 300, { maxTokens: 1 }));
    serving.schedule();
    serving.abort(1);
    serving.commit();
    serving.add(request(2, 300, { maxTokens: 1, priority: "background" }));
    expect(spell(serving.schedule() as WorkPlan)).toBe("2:0-300/0-3");
    serving.commit();
    serving.add(request(3, 300, { maxTokens: 1 }));
    const plan = serving.schedule() as WorkPlan;
    expect([plan.preempted, spell(plan)]).toEqual([[2], "3:0-300/0-3"]);
    serving.drain();
    expect(serving.ids(2)).toHaveLength(1);
  });
});
