// Sessions whose keys and values stay while nobody computes: until when, and for whom they give way.

import { describe, expect, test } from "vitest";
import type { SchedulerConfig } from "../../scheduler/index.ts";
import { expectedIds, type FakeRequest } from "./fake-device.ts";
import { planOf } from "./layer-plans.ts";
import { codeOf, request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

/** Room for 320 tokens. */
const CONFIG: SchedulerConfig = {
  numLayers: 3,
  kvGroups: [{ kind: "full", numBlocks: 1 + 20 }],
  blockTokens: 16,
  prefixCache: true,
};

/** 100 tokens of prompt and 4 of answer: 6 full blocks. */
const step = (id: number, rest: Partial<FakeRequest> = {}) =>
  request(id, 100, { maxTokens: 5, session: "agent", ...rest });

/** Its prompt is that of the first step, the answer, and what a tool said. */
function nextStep(id: number, serving: Serving, before: number): FakeRequest {
  const promptTokens = [...step(before).promptTokens, ...serving.ids(before), 5, 6, 7];
  return { ...step(id), promptTokens };
}

/** Uses up the whole pool, so that nothing is left in the cache that nobody holds. */
const flood = (id: number) => request(id, 300, { maxTokens: 20 });

function served(serving: Serving, asked: FakeRequest): string {
  const numPlans = serving.plans.length;
  serving.add(asked);
  serving.drain();
  expect(serving.ids(asked.id)).toEqual(expectedIds(asked, CONFIG.kvGroups));
  return spell(serving.plans[numPlans]);
}

describe("a hold", () => {
  test("of a session whose layer plan keeps nothing in a group holds what it keeps", () => {
    const [group] = CONFIG.kvGroups;
    const config = { ...CONFIG, numLayers: 2, kvGroups: [group, group] };
    const serving = new Serving(config);
    const layerPlan = planOf(2, 0b1);
    serving.add(step(1, { layerPlan }));
    serving.hold("agent", 1000);
    serving.drain();
    expect(serving.scheduler.usage).toEqual([0, 6 / 20]);
    serving.add({ ...nextStep(2, serving, 1), layerPlan });
    expect(spell(serving.schedule())).toBe("2:96-108*");
    serving.drain();
  });

  test("keeps what the session computed while others use the pool", () => {
    const serving = new Serving(CONFIG);
    served(serving, step(1));
    serving.hold("agent", 1000);
    expect(serving.scheduler.freeBlocks).toEqual([14]);
    served(serving, request(50, 180, { maxTokens: 9 }));
    served(serving, request(51, 180, { maxTokens: 9 }));
    expect(served(serving, nextStep(2, serving, 1))).toBe("2:96-108*");
    expect(serving.scheduler.holds).toEqual({ used: 1, expired: 0, broken: 0 });
  });

  test("without one, it is computed again", () => {
    const serving = new Serving(CONFIG);
    served(serving, step(1));
    served(serving, flood(50));
    expect(served(serving, nextStep(2, serving, 1))).toBe("2:0-108*");
  });

  test("asked for before the answer ends, begins when it does", () => {
    const serving = new Serving(CONFIG);
    serving.add(step(1));
    serving.schedule();
    serving.hold("agent", 1000);
    serving.drain();
    expect(serving.scheduler.freeBlocks).toEqual([14]);
  });

  test("goes on after the session's next request, as long as it was to last", () => {
    const serving = new Serving(CONFIG);
    served(serving, step(1));
    serving.hold("agent", 1000);
    served(serving, nextStep(2, serving, 1));
    expect(serving.scheduler.freeBlocks).toEqual([20 - 7]);
    serving.nowMs += 1000;
    serving.schedule();
    expect(serving.scheduler.freeBlocks).toEqual([20]);
  });

  test("ends by its time, or when released; for another session nothing changes", () => {
    const serving = new Serving(CONFIG);
    served(serving, step(1));
    served(
      serving,
      step(2, { session: "other", promptTokens: flood(9).promptTokens.slice(0, 50) }),
    );
    serving.hold("agent", 100);
    serving.hold("other", 1000);
    expect(serving.scheduler.freeBlocks).toEqual([20 - 6 - 3]);
    serving.nowMs += 100;
    serving.schedule();
    expect(serving.scheduler.freeBlocks).toEqual([17]);
    serving.release("other");
    expect(serving.scheduler.freeBlocks).toEqual([20]);
    expect(serving.scheduler.holds).toEqual({ used: 0, expired: 1, broken: 0 });
  });

  test("of a session that nobody knows, or for no time", () => {
    const serving = new Serving(CONFIG);
    serving.hold("nobody", 100);
    serving.release("nobody");
    expect(serving.scheduler.freeBlocks).toEqual([20]);
    expect(codeOf(() => serving.hold("agent", 0))).toBe("bad_request");
    expect(codeOf(() => serving.hold("agent", Number.NaN))).toBe("bad_request");
  });
});

describe("a hold gives way", () => {
  test("to a request that could not run otherwise, the longest first", () => {
    const serving = new Serving(CONFIG);
    served(serving, step(1));
    served(
      serving,
      step(2, { session: "other", promptTokens: flood(9).promptTokens.slice(0, 50) }),
    );
    serving.hold("agent", 1000);
    serving.hold("other", 500);
    served(serving, request(50, 200, { maxTokens: 60 }));
    expect(serving.scheduler.holds).toEqual({ used: 0, expired: 0, broken: 1 });
    // The shorter one is still there.
    expect(serving.scheduler.freeBlocks).toEqual([17]);
  });

  test("not while others run: who arrives waits for them", () => {
    const serving = new Serving({ ...CONFIG, admission: "conservative" });
    served(serving, step(1));
    serving.hold("agent", 1000);
    serving.add(request(50, 100, { maxTokens: 30 }));
    serving.schedule();
    serving.add(request(51, 100, { maxTokens: 30 }));
    expect(spell(serving.schedule())).toBe("50:100-101*");
    serving.drain();
    expect(serving.scheduler.holds.broken).toBe(0);
    expect(served(serving, nextStep(2, serving, 1))).toBe("2:96-108*");
  });
});
