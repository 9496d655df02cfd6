// Rounds of drafts, plan by plan: how long they are, and what becomes of one that is interrupted.

import { describe, expect, test } from "vitest";
import {
  type SampledOutcome,
  Scheduler,
  type SchedulerConfig,
  type WorkPlan,
} from "../../../scheduler/index.ts";
import type { DraftWish } from "../../../scheduler/speculation/round.ts";
import { expectedIds, type FakeRequest } from "../fake-device.ts";
import { planOf } from "../layer-plans.ts";
import { request } from "../plans.ts";
import { fixedDrafter } from "../scripted-drafter.ts";
import { Serving } from "../serving.ts";

const CONFIG: SchedulerConfig = {
  numLayers: 2,
  kvGroups: [0, 1].map(() => ({ kind: "full", numBlocks: 1 + 20 })),
  blockTokens: 16,
  maxDraftTokens: 8,
};
const layerPlan = planOf(2, 0b1100);

const drafting = (id: number, numPrompt: number, tokens: number, rest: Partial<FakeRequest> = {}) =>
  request(id, numPrompt, { drafter: fixedDrafter({ tokens, layerPlan, way: 0 }), ...rest });

/** `id:from-to`, and how where it drafts or verifies. */
function spell(plan: WorkPlan | "idle"): string {
  if (plan === "idle") return plan;
  return plan.rows
    .map(({ sequenceId, tokens, kind }) => {
      const how = kind === "compute" ? "" : ` ${kind}`;
      return `${sequenceId}:${tokens.from}-${tokens.to}${how}`;
    })
    .join(", ");
}

function expectOwnIds(serving: Serving): void {
  for (const { request, ids } of serving.progress.values())
    expect(ids).toEqual(expectedIds(request, CONFIG.kvGroups));
}

/** One that pauses behind each token, and drafts as wished; outcomes are committed one by one. */
function paused(wish: DraftWish) {
  const scheduler = new Scheduler(CONFIG);
  const drafter = fixedDrafter(wish);
  scheduler.add({ id: 1, numPromptTokens: 10, maxTokens: 9, pausesAt: 1, drafter }, 0);
  const planIds: number[] = [];
  return {
    scheduler,
    next: () => {
      const plan = scheduler.schedule(0);
      if (plan !== "idle") planIds.push(plan.id);
      return spell(plan);
    },
    commit: (...outcomes: Partial<SampledOutcome>[]) => {
      for (const outcome of outcomes) {
        const sampled = [{ sequenceId: 1, finished: false, ...outcome }];
        scheduler.commit({ planId: planIds.shift()!, gpuMs: 1, sampled }, 0);
      }
    },
    lose: () => {
      scheduler.loseDevice(0);
      planIds.length = 0;
    },
  };
}

/** Up to the plan that verifies the first round, which is not read. */
function verifying(serving: Serving): void {
  for (;;) {
    const plan = serving.schedule();
    if (plan !== "idle" && plan.rows.some(({ kind }) => kind === "verify")) return;
    serving.commit();
  }
}

describe("a round", () => {
  test("drafts one after another, ahead of what is read, then verifies all and waits", () => {
    const serving = new Serving(CONFIG);
    serving.add(drafting(1, 10, 2));
    const plans = [0, 1, 2, 3, 4].map(() => spell(serving.schedule()));
    expect(plans).toEqual(["1:0-10", "1:10-11 draft", "1:11-12 draft", "1:10-13 verify", "idle"]);
    serving.drain();
    expectOwnIds(serving);
  });

  test("is as long as the drafts of others leave, and never passes the most tokens", () => {
    const serving = new Serving({ ...CONFIG, maxDraftTokens: 4 });
    serving.add(drafting(1, 10, 3));
    serving.add(drafting(2, 10, 3));
    serving.add(drafting(3, 10, 3));
    const plans = [0, 1, 2, 3].map(() => spell(serving.schedule()));
    expect(plans).toEqual([
      "1:0-10, 2:0-10, 3:0-10",
      "1:10-11 draft, 2:10-11 draft, 3:10-11",
      "1:11-12 draft, 2:10-12 verify, 3:11-12",
      "1:12-13 draft, 3:12-13",
    ]);
    serving.drain();
    expectOwnIds(serving);
  });

  test("is as long as there are blocks for", () => {
    const kvGroups = CONFIG.kvGroups.map((group) => ({ ...group, numBlocks: 1 + 2 }));
    const serving = new Serving({ ...CONFIG, kvGroups, admission: "optimistic" });
    serving.add(drafting(1, 13, 8, { maxTokens: 12 }));
    serving.add(request(2, 4, { maxTokens: 4 }));
    serving.schedule();
    // Each has one block: tokens 13 to 15 find a place.
    expect(spell(serving.schedule())).toBe("1:13-14 draft, 2:4-5");
    serving.schedule();
    expect(spell(serving.schedule())).toBe("1:13-16 verify, 2:6-7");
    serving.drain();
    expectOwnIds(serving);
  });

  test("of a sequence that is taken back ends; what was verified still counts", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 1 });
    serving.add(drafting(1, 10, 3, { priority: "background" }));
    verifying(serving);
    serving.add(request(2, 10, { maxTokens: 1 }));
    expect(spell(serving.schedule())).toBe("2:0-10");
    // It goes on behind what stands of the round, which nobody knows before it is read.
    expect(serving.schedule()).toBe("idle");
    serving.commit();
    const { ids } = serving.progress.get(1)!;
    expect(ids.length).toBeGreaterThan(1);
    serving.commit();
    expect(spell(serving.schedule())).toBe(`1:0-${10 + ids.length}`);
    serving.drain();
    expectOwnIds(serving);
  });

  test("that is lost with the device is drafted again", () => {
    const serving = new Serving(CONFIG);
    serving.add(drafting(1, 10, 3));
    verifying(serving);
    serving.loseDevice();
    expect(spell(serving.schedule())).toBe("1:0-11");
    serving.drain();
    expect(serving.progress.get(1)!.numRounds).toBeGreaterThan(0);
    expectOwnIds(serving);
  });

  test("that passes a pause waits for the host, and verifies the drafts that it lets pass", () => {
    const { scheduler, next, commit } = paused({ layerPlan, way: 0, tokens: 3 });
    expect(next()).toBe("1:0-10");
    commit({ tokenId: 5 });
    scheduler.resume(1, [], 2, 3);
    expect([next(), next(), next(), next()]).toEqual([
      "1:10-11 draft",
      "1:11-12 draft",
      "1:12-13 draft",
      "idle",
    ]);
    commit({}, {}, {});
    expect(next()).toBe("idle");
    scheduler.fit(1, 1);
    expect([next(), next()]).toEqual(["1:10-12 verify", "idle"]);
    commit({ tokenIds: [6, 7] });
    // Two more than before, where it had paused at one: it waits to be told what follows.
    expect(next()).toBe("idle");
    scheduler.resume(1, [], 4);
    expect([next(), next()]).toEqual(["1:12-13", "idle"]);
  });

  test("of which the host lets none pass still says one token", () => {
    const { scheduler, next, commit } = paused({ layerPlan, way: 0, tokens: 1 });
    next();
    commit({ tokenId: 5 });
    scheduler.resume(1, [], 2, 1);
    expect(next()).toBe("1:10-11 draft");
    commit({});
    scheduler.fit(1, 0);
    expect(next()).toBe("1:10-11 verify");
    commit({ tokenIds: [6] });
    expect(next()).toBe("idle");
  });

  test("of the host's own drafts needs no more than its word, and none passes a pause without", () => {
    const { scheduler, next, commit } = paused({ layerPlan: undefined, way: 0, tokens: 3 });
    next();
    commit({ tokenId: 5, proposed: 3 });
    scheduler.resume(1, [], 2);
    expect([next(), next()]).toEqual(["1:10-11", "idle"]);
    commit({ tokenId: 6, proposed: 3 });
    scheduler.resume(1, [], 3, 2);
    expect([next(), next()]).toEqual(["1:11-14 verify", "idle"]);
    commit({ tokenIds: [7] });
    // Where nothing is to be asked for a while, drafts go up to the pause.
    scheduler.resume(1, [], 5);
    expect([next(), next()]).toEqual(["1:12-14 verify", "idle"]);
  });

  test("that the host forgets with the device is drafted again", () => {
    const { scheduler, next, commit, lose } = paused({ layerPlan, way: 0, tokens: 2 });
    next();
    commit({ tokenId: 5 });
    scheduler.resume(1, [], 2, 2);
    expect(next()).toBe("1:10-11 draft");
    lose();
    // What the host says of lost drafts says nothing of those to come.
    scheduler.fit(1, 2);
    expect([next(), next()]).toEqual(["1:0-11", "idle"]);
    commit({ tokenId: 6 });
    scheduler.resume(1, [], 3, 2);
    expect([next(), next(), next()]).toEqual(["1:11-12 draft", "1:12-13 draft", "idle"]);
  });

  test("of a sequence that is aborted leaves no block behind", () => {
    const serving = new Serving(CONFIG);
    serving.add(drafting(1, 15, 3));
    verifying(serving);
    serving.abort(1);
    expect(serving.scheduler.freeBlocks).toEqual([20, 20]);
    serving.drain();
  });
});
