// Whose turn it is: classes, ageing, clients, deadlines, programs; and who makes place for whom.

import { describe, expect, test } from "vitest";
import type { PlanWork, SchedulerConfig, WorkPlan } from "../../scheduler/index.ts";
import { expectedIds, type FakeRequest } from "./fake-device.ts";
import { planOf } from "./layer-plans.ts";
import { request, spell } from "./plans.ts";
import { fixedDrafter } from "./scripted-drafter.ts";
import { Serving } from "./serving.ts";

const CONFIG: SchedulerConfig = {
  numLayers: 2,
  kvGroups: [{ kind: "full", numBlocks: 1 + 100 }],
  blockTokens: 16,
  maxTokensPerPlan: 64,
  maxRows: 2,
};

/** Ids in the order in which they first ran. */
function started(plans: readonly WorkPlan[]): number[] {
  const ids = plans.flatMap(({ rows }) => rows.map(({ sequenceId }) => sequenceId));
  return [...new Set(ids)];
}

/** Serves one at a time, and says in which order. */
function orderOf(...list: Parameters<Serving["add"]>[0][]): number[] {
  const serving = new Serving({ ...CONFIG, maxRows: 1 });
  for (const each of list) serving.add(each);
  serving.drain();
  return started(serving.plans);
}

const short = { maxTokens: 1 };

describe("classes", () => {
  test("the more urgent first, and of a class whoever came first", () => {
    const order = orderOf(
      request(1, 4, { ...short, priority: "background" }),
      request(2, 4, { ...short, priority: "agent" }),
      request(3, 4, { ...short, priority: "completion", client: "a" }),
      request(4, 4, { ...short, priority: "interactive" }),
      request(5, 4, { ...short, priority: "agent" }),
      request(6, 4, { ...short, priority: "completion", client: "b" }),
    );
    expect(order).toEqual([4, 3, 6, 2, 5, 1]);
  });

  test("a class is gained for each half minute of waiting", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 1 });
    serving.add(request(1, 4, { ...short, priority: "background" }));
    serving.nowMs = 29_000;
    serving.add(request(2, 4, { ...short, priority: "agent" }));
    serving.add(request(3, 4, { ...short, priority: "agent" }));
    serving.nowMs = 30_000;
    serving.drain();
    expect(started(serving.plans)).toEqual([1, 2, 3]);
  });

  test("an endless stream of urgent ones starves nobody", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 1 });
    serving.add(request(1, 4, { ...short, priority: "background" }));
    let id = 2;
    while (serving.progress.get(1)!.state === "live" && id < 1000) {
      // Always two there that will be in time, which no background request is asked to be.
      for (let i = 0; i < 2; i++) serving.add(request(id++, 4, { ...short, deadlineMs: 1e6 }));
      serving.schedule();
      serving.commit();
      serving.nowMs += 500;
    }
    expect(serving.progress.get(1)!.state).toBe("finished");
    expect(serving.nowMs).toBeLessThan(120_000);
  });

  test("first come, first served, when told so", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 1, order: "fcfs" });
    serving.add(request(1, 4, { ...short, priority: "background" }));
    serving.add(request(2, 4, { ...short, priority: "interactive" }));
    serving.drain();
    expect(started(serving.plans)).toEqual([1, 2]);
  });
});

describe("an urgent arrival", () => {
  const background = { priority: "background" as const, maxTokens: 40 };

  test("takes the row of a background request, which resumes with its own ids", () => {
    const serving = new Serving(CONFIG);
    const list = [request(1, 20, background), request(2, 20, background), request(3, 10)];
    serving.add(list[0]);
    serving.add(list[1]);
    for (let i = 0; i < 4; i++) {
      serving.schedule();
      serving.commit();
    }
    serving.add(list[2]);
    // The very next plan: the newest of the two makes place.
    expect(spell(serving.schedule())).toBe("-2 1:23-24* 3:0-10*");
    serving.drain(4);
    for (const each of list)
      expect(serving.ids(each.id)).toEqual(expectedIds(each, CONFIG.kvGroups));
    expect(serving.progress.get(2)!.numPreemptions).toBe(1);
  });

  test("takes blocks of as few as it needs", () => {
    const kvGroups = [{ kind: "full" as const, numBlocks: 1 + 12 }];
    const serving = new Serving({ ...CONFIG, kvGroups, maxRows: 8, admission: "optimistic" });
    for (const id of [1, 2, 3]) serving.add(request(id, 50, background));
    while (serving.scheduler.freeBlocks[0] > 0) {
      serving.schedule();
      serving.commit();
    }
    serving.add(request(4, 60));
    const plan = serving.schedule() as WorkPlan;
    expect(plan.preempted).toEqual([3]);
    expect(plan.rows.map(({ sequenceId }) => sequenceId)).toContain(4);
    serving.drain(2);
  });

  test("takes nothing of its own class or of a completion, and waits", () => {
    for (const priority of ["interactive", "completion"] as const) {
      const serving = new Serving(CONFIG);
      for (const id of [1, 2])
        serving.add(request(id, 20, { maxTokens: 9, priority, client: `${id}` }));
      serving.schedule();
      serving.add(request(3, 10));
      expect(spell(serving.schedule())).toBe("1:20-21* 2:20-21*");
      serving.drain();
      expect(serving.progress.get(3)!.ids).toHaveLength(8);
    }
  });

  test("takes nobody back if that were not enough", () => {
    const kvGroups = [{ kind: "full" as const, numBlocks: 1 + 12 }];
    const serving = new Serving({ ...CONFIG, kvGroups, maxRows: 8, admission: "conservative" });
    serving.add(request(1, 100, { maxTokens: 9 }));
    serving.add(request(2, 16, { priority: "background", maxTokens: 9 }));
    for (let i = 0; i < 3; i++) serving.schedule();
    serving.add(request(3, 100));
    expect((serving.schedule() as WorkPlan).preempted).toEqual([]);
    serving.drain();
  });

  test("goes ahead of a background prompt under way, which goes on after it", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 4 });
    serving.add(request(1, 1000, background));
    serving.schedule();
    serving.add(request(2, 100));
    expect(spell(serving.schedule())).toBe("2:0-64");
    // Nothing of the other prompt in the plan that samples its first token: that would be later.
    expect(spell(serving.schedule())).toBe("2:64-100*");
    expect(spell(serving.schedule())).toBe("2:100-101* 1:64-127");
    serving.drain(4);
  });

  test("a request that has aged is not taken back for a fresh one", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 1 });
    serving.add(request(1, 20, background));
    serving.nowMs = 90_000;
    serving.schedule();
    serving.add(request(2, 4));
    expect(spell(serving.schedule())).toBe("1:20-21*");
    serving.drain();
  });
});

describe("clients", () => {
  /** How many requests of the other start for one of `client`, both always waiting. */
  function startsPerStart(rest: Partial<FakeRequest>): number {
    const serving = new Serving({ ...CONFIG, maxRows: 1, maxDraftTokens: 3 });
    for (let id = 0; id < 60; id++) {
      serving.add(request(id, 30, { client: "plain", maxTokens: 8 }));
      serving.add(request(100 + id, 30, { client: "other", maxTokens: 8, ...rest }));
    }
    let numEnded = 0;
    while (numEnded < 60) {
      serving.schedule();
      numEnded += serving.commit().length;
    }
    const numOthers = started(serving.plans).filter((id) => id >= 100).length;
    return (started(serving.plans).length - numOthers) / numOthers;
  }

  test("a token costs what share of the layers it runs", () => {
    const layerPlan = { ...planOf(2, 0b1100), keeps: [true] };
    expect(startsPerStart({ layerPlan })).toBeCloseTo(1 / 2, 1);
  });

  test("a round costs its drafts, and the tokens that it verifies, whatever stands", () => {
    // Drafts run none of the one layer that writes, hence cost nothing; four rows sample 1 to 4 tokens.
    expect(startsPerStart({})).toBeCloseTo(1, 1);
    const free = { tokens: 3, layerPlan: planOf(2, 0b1111), way: 0 };
    const whole = { ...free, layerPlan: planOf(2, 0) };
    const verified = startsPerStart({ drafter: fixedDrafter(free) });
    const drafted = startsPerStart({ drafter: fixedDrafter(whole) });
    expect(verified).toBeGreaterThan(1.05);
    expect(drafted).toBeGreaterThan(verified + 0.1);
  });

  test("take turns by what they were given, not by how much they ask", () => {
    const many = Array.from({ length: 6 }, (_, i) => request(i, 40, { ...short, client: "many" }));
    const few = [
      request(10, 40, { ...short, client: "few" }),
      request(11, 40, { ...short, client: "few" }),
    ];
    expect(orderOf(...many, ...few)).toEqual([0, 10, 1, 11, 2, 3, 4, 5]);
  });

  test("long requests count for more", () => {
    const order = orderOf(
      request(1, 60, { ...short, client: "long" }),
      request(2, 60, { ...short, client: "long" }),
      ...[11, 12, 13, 14, 15].map((id) => request(id, 12, { ...short, client: "short" })),
    );
    // 62 for the first long one; short ones cost 14 each.
    expect(order).toEqual([1, 11, 12, 13, 14, 15, 2]);
  });

  test("who was idle is not owed anything", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 1 });
    for (let id = 1; id <= 12; id++) serving.add(request(id, 40, { ...short, client: "busy" }));
    for (let i = 0; i < 6; i++) {
      serving.schedule();
      serving.commit();
    }
    for (let id = 101; id <= 106; id++) serving.add(request(id, 40, { ...short, client: "idle" }));
    const numPlans = serving.plans.length;
    serving.drain();
    // In turn from now on, not six in a row.
    const turns = started(serving.plans.slice(numPlans)).map((id) => (id > 100 ? "idle" : "busy"));
    expect(turns.slice(0, 4).filter((client) => client === "idle")).toHaveLength(2);
  });
});

describe("deadlines", () => {
  const costs = { predictMs: ({ numTokens }: PlanWork) => numTokens };

  test("the earliest first, and what comes too late anyway last", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 1, costs });
    serving.add(request(1, 30, { ...short, deadlineMs: 20 }));
    serving.add(request(2, 30, short));
    serving.add(request(3, 30, { ...short, deadlineMs: 900 }));
    serving.add(request(4, 30, { ...short, deadlineMs: 500 }));
    serving.drain();
    expect(started(serving.plans)).toEqual([4, 3, 1, 2]);
  });
});

describe("programs", () => {
  test("a later step of an earlier program goes before a later program", () => {
    const order = orderOf(
      request(1, 8, { ...short, program: "first" }),
      request(2, 8, { ...short, program: "second" }),
      request(3, 8, { ...short, program: "third" }),
      request(4, 8, { ...short, program: "first" }),
      request(5, 8, { ...short, program: "second" }),
      request(6, 8, short),
    );
    expect(order).toEqual([1, 4, 2, 5, 3, 6]);
  });
});

describe("completions", () => {
  const completion = { priority: "completion" as const, maxTokens: 20 };

  test("the latest of a client and program ends those before it, at once", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 20, completion));
    serving.add(request(2, 20, { ...completion, program: "elsewhere" }));
    serving.add(request(3, 20, { ...completion, client: "another" }));
    serving.schedule();
    serving.add(request(4, 21, completion));
    expect(serving.events).toEqual([
      { type: "finished", sequenceId: 1, reason: "superseded", queueMs: 0, totalMs: 1 },
    ]);
    serving.drain(4);
    expect(serving.ids(4)).toHaveLength(20);
    expect(serving.scheduler.freeBlocks).toEqual([100]);
  });

  test("a request of another class ends none", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 20, completion));
    serving.add(request(2, 20));
    serving.drain(4);
    expect(serving.events.map(({ reason }) => reason)).toEqual(["length", "length"]);
  });
});
