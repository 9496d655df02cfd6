import { describe, expect, test } from "vitest";
import {
  type PlanWork,
  Scheduler,
  type SchedulerConfig,
  type WorkPlan,
} from "../../scheduler/index.ts";
import { expectedIds } from "./fake-device.ts";
import { codeOf, request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

const CONFIG: SchedulerConfig = {
  numLayers: 3,
  kvGroups: [{ kind: "full", numBlocks: 101 }],
  blockTokens: 16,
};

describe("a lone sequence", () => {
  test("its prompt is cut in chunks, then it decodes until maxTokens", () => {
    const serving = new Serving({ ...CONFIG, maxTokensPerPlan: 20 });
    serving.add(request(1, 50, { maxTokens: 3 }));
    serving.drain();
    expect(serving.plans.map(spell)).toEqual([
      "1:0-20",
      "1:20-40",
      "1:40-50*",
      "1:50-51*",
      "1:51-52*",
    ]);
    expect(serving.events.map(({ reason }) => reason)).toEqual(["length"]);
  });

  test("a 1-token prompt with maxTokens 1 is one row", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 1, { maxTokens: 1 }));
    serving.drain(8);
    expect(serving.plans.map(spell)).toEqual(["1:0-1*"]);
    expect(serving.ids(1)).toHaveLength(1);
  });

  test("plans run ahead of results up to maxRunAhead, and never past maxTokens", () => {
    const serving = new Serving({ ...CONFIG, maxRunAhead: 4 });
    serving.add(request(1, 5, { maxTokens: 6 }));
    const plan = () => spell(serving.schedule());
    expect([plan(), plan(), plan(), plan()]).toEqual(["1:0-5*", "1:5-6*", "1:6-7*", "1:7-8*"]);
    expect(plan()).toBe("idle");
    serving.commit();
    serving.commit();
    expect([plan(), plan(), plan()]).toEqual(["1:8-9*", "1:9-10*", "idle"]);
    serving.drain();
    expect(serving.ids(1)).toEqual(expectedIds(request(1, 5, { maxTokens: 6 }), CONFIG.kvGroups));
  });

  test("a stop is learnt late: blocks are free at once, surplus rows are ignored", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 40, { stopEvery: 1, maxTokens: 50 }));
    for (let i = 0; i < 4; i++) serving.schedule();
    expect(serving.commit()).toEqual([
      { type: "finished", sequenceId: 1, reason: "stop", queueMs: 0, totalMs: 4 },
    ]);
    expect(serving.scheduler.freeBlocks).toEqual([100]);
    expect(serving.scheduler.numInFlight).toBe(3);
    expect(serving.schedule()).toBe("idle");
    expect([serving.commit(), serving.commit(), serving.commit()]).toEqual([[], [], []]);
    expect(serving.ids(1)).toHaveLength(1);
  });

  test("one that needs the host has one sample in flight, and delays nobody", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 4, { needsHost: true }));
    serving.add(request(2, 4));
    const plan = () => spell(serving.schedule());
    expect([plan(), plan(), plan()]).toEqual(["1:0-4* 2:0-4*", "2:4-5*", "2:5-6*"]);
    serving.commit();
    expect([plan(), plan()]).toEqual(["1:4-5* 2:6-7*", "2:7-8*"]);
    serving.drain(8);
    for (const id of [1, 2])
      expect(serving.ids(id)).toEqual(expectedIds(request(id, 4), CONFIG.kvGroups));
  });
});

describe("a host that is slow with a token", () => {
  const slow = { needsHost: true, hostDelay: 3 };

  test("holds up its own sequence, and changes nothing for another", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 4, slow));
    serving.add(request(2, 4));
    serving.drain();
    const beside = serving.plans.map(spell).map((plan) => plan.replace(/1:\S+ ?/, "").trim());
    const alone = new Serving(CONFIG);
    alone.add(request(2, 4));
    alone.drain();
    expect(beside.slice(0, alone.plans.length)).toEqual(alone.plans.map(spell));
    expect(serving.plans.slice(0, 5).map(spell)).toEqual([
      "1:0-4* 2:0-4*",
      "2:4-5*",
      "2:5-6*",
      "1:4-5* 2:6-7*",
      "2:7-8*",
    ]);
    for (const id of [1, 2])
      expect(serving.ids(id)).toEqual(expectedIds(request(id, 4), CONFIG.kvGroups));
  });

  test("may be done with a sequence that has been taken back or has ended", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 2 });
    serving.add(request(1, 4, slow));
    serving.drain(4);
    expect(serving.ids(1)).toEqual(expectedIds(request(1, 4), CONFIG.kvGroups));
    serving.scheduler.resume(1);
    expect(spell(serving.schedule())).toBe("idle");
  });
});

describe("tokens that the host gives", () => {
  const CONFIG_1 = { numLayers: 1, kvGroups: [{ kind: "full", numBlocks: 20 }] } as const;
  const asked = { id: 1, numPromptTokens: 3, maxTokens: 6, pausesAt: 1 };
  const commit = (scheduler: Scheduler, planId: number) =>
    scheduler.commit({ planId, gpuMs: 1, sampled: [{ sequenceId: 1, finished: false }] }, 0);

  test("are computed like those of a prompt, with what was sampled before, and count", () => {
    const scheduler = new Scheduler(CONFIG_1);
    scheduler.add(asked, 0);
    expect(spell(scheduler.schedule(0))).toBe("1:0-3*");
    expect(scheduler.schedule(0)).toBe("idle");
    commit(scheduler, 0);
    expect(scheduler.schedule(0)).toBe("idle");
    expect(scheduler.resume(1, [7, 8, 9], 6)).toEqual([]);
    expect(spell(scheduler.schedule(0))).toBe("1:3-7*");
    // Nothing is to be asked before the sixth, which is the last.
    expect(spell(scheduler.schedule(0))).toBe("1:7-8*");
    expect(scheduler.schedule(0)).toBe("idle");
    expect(commit(scheduler, 1)).toEqual([]);
    expect(commit(scheduler, 2)).toMatchObject([{ sequenceId: 1, reason: "length" }]);
  });

  test("end a sequence that may have no more, and come before its first plan too", () => {
    const scheduler = new Scheduler(CONFIG_1);
    scheduler.add(asked, 0);
    expect(scheduler.resume(1, [7, 8], 3)).toEqual([]);
    expect(spell(scheduler.schedule(0))).toBe("1:0-5*");
    commit(scheduler, 0);
    expect(scheduler.resume(1, [7, 8, 9], 7)).toMatchObject([{ reason: "length" }]);
    expect(scheduler.freeBlocks).toEqual([19]);
    expect(scheduler.resume(1, [7], 8)).toEqual([]);
  });

  test("come to one that was taken back meanwhile", () => {
    const scheduler = new Scheduler({ ...CONFIG_1, forcePreemptionEvery: 1 });
    scheduler.add(asked, 0);
    expect(spell(scheduler.schedule(0))).toBe("1:0-3*");
    commit(scheduler, 0);
    scheduler.loseDevice(0);
    expect(scheduler.resume(1, [7], 3)).toEqual([]);
    expect(spell(scheduler.schedule(0))).toMatch(/1:0-5\*$/);
  });

  test.each([0, 1.5, -1])("a pause at %d is refused", (pausesAt) => {
    const scheduler = new Scheduler(CONFIG_1);
    expect(codeOf(() => scheduler.add({ ...asked, pausesAt }, 0))).toBe("bad_request");
  });
});

describe("many sequences", () => {
  test("decodes keep their place while prompts are cut beside them; some join, some leave", () => {
    const serving = new Serving({ ...CONFIG, maxTokensPerPlan: 24 });
    for (let id = 0; id < 10; id++) serving.add(request(id, 2, { maxTokens: 4 + id }));
    expect(serving.schedule()).not.toBe("idle");
    serving.add(request(10, 60, { maxTokens: 2 }));
    serving.drain();
    const mixed = serving.plans.filter(
      ({ rows }) =>
        rows.filter(({ tokens }) => tokens.to - tokens.from === 1).length >= 8 &&
        rows.some(({ tokens }) => tokens.to - tokens.from > 1),
    );
    expect(mixed.map((plan) => spell(plan).split(" ").at(-1))).toEqual([
      "10:0-14",
      "10:14-28",
      "10:28-42",
      "10:42-57",
      "10:57-60*",
    ]);
    // Until its own end, each decoding sequence is in every plan after its first.
    for (let id = 0; id < 10; id++) {
      const at = serving.plans.flatMap(({ id: plan, rows }) =>
        rows.some(({ sequenceId }) => sequenceId === id) ? [plan] : [],
      );
      expect(at).toEqual(Array.from({ length: 4 + id }, (_, i) => i));
    }
  });

  test("first come, first served: one that fits does not overtake one that does not", () => {
    const serving = new Serving({ ...CONFIG, kvGroups: [{ kind: "full", numBlocks: 11 }] });
    serving.add(request(1, 60, { maxTokens: 37 })); // 6 blocks of 10
    serving.add(request(2, 60, { maxTokens: 37 }));
    serving.add(request(3, 1, { maxTokens: 2 }));
    expect(spell(serving.schedule())).toBe("1:0-60*");
    expect([serving.scheduler.numRunning, serving.scheduler.numWaiting]).toEqual([1, 2]);
    serving.abort(1);
    expect(spell(serving.schedule())).toBe("2:0-60* 3:0-1*");
  });

  test("no more run than there are rows", () => {
    const serving = new Serving({ ...CONFIG, maxRows: 2 });
    for (const id of [1, 2, 3]) serving.add(request(id, 4, { maxTokens: id }));
    expect(spell(serving.schedule())).toBe("1:0-4* 2:0-4*");
    expect(spell(serving.schedule())).toBe("2:4-5*");
    serving.commit();
    expect(spell(serving.schedule())).toBe("3:0-4*");
  });

  test("what is in flight takes at most two quanta and the completion latency", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => numTokens };
    const scheduler = new Scheduler({ ...CONFIG, costs, quantumMs: 40 });
    scheduler.add({ id: 1, numPromptTokens: 1000, maxTokens: 1 }, 0);
    const plan = (nowMs: number) => spell(scheduler.schedule(nowMs));
    expect([plan(0), plan(0), plan(0)]).toEqual(["1:0-40", "1:40-80", "idle"]);
    scheduler.commit({ planId: 0, gpuMs: 40, sampled: [] }, 40);
    expect([plan(40), plan(40)]).toEqual(["1:80-120", "idle"]);
    // The outcome comes 200 ms after the GPU was done: 40 of them are believed at first.
    scheduler.commit({ planId: 1, gpuMs: 40, sampled: [] }, 280);
    expect([plan(280), plan(280), plan(280)]).toEqual(["1:120-160", "1:160-200", "idle"]);
  });

  test("two plans may always be in flight, however long they take", () => {
    const costs = { predictMs: () => 1000 };
    const serving = new Serving({ ...CONFIG, costs, quantumMs: 8 });
    serving.add(request(1, 3, { maxTokens: 3 }));
    const plan = () => spell(serving.schedule());
    expect([plan(), plan(), plan()]).toEqual(["1:0-3*", "1:3-4*", "idle"]);
    serving.drain(8);
    expect(serving.ids(1)).toHaveLength(3);
  });

  test("the quantum cuts chunks, not decodes, and may change between plans", () => {
    const costs = { predictMs: ({ numTokens }: PlanWork) => numTokens };
    const serving = new Serving({ ...CONFIG, costs, quantumMs: 40 });
    serving.add(request(1, 3, { maxTokens: 20 }));
    serving.add(request(2, 200, { maxTokens: 1 }));
    expect(spell(serving.schedule())).toBe("1:0-3* 2:0-37");
    expect(spell(serving.schedule())).toBe("1:3-4* 2:37-76");
    serving.scheduler.setQuantum(80);
    const plan = serving.scheduler.schedule(0) as WorkPlan;
    expect(spell(plan)).toBe("1:4-5* 2:76-155");
    expect(plan.predictedMs).toBe(80);
    expect(codeOf(() => serving.scheduler.setQuantum(0))).toBe("bad_config");
  });
});

test("a plan is plain data", () => {
  const serving = new Serving({ ...CONFIG, maxTokensPerPlan: 24 });
  for (const id of [1, 2]) serving.add(request(id, 30));
  serving.drain();
  expect(structuredClone(serving.plans)).toStrictEqual(serving.plans);
  expect(JSON.parse(JSON.stringify(serving.plans))).toStrictEqual(serving.plans);
});

describe("abort", () => {
  test.each(["waiting", "in its prompt", "decoding", "ended"])("while %s, twice", (when) => {
    const serving = new Serving({ ...CONFIG, maxTokensPerPlan: 16 });
    serving.add(request(1, 30, { maxTokens: 4 }));
    if (when === "in its prompt") serving.schedule();
    if (when === "decoding") for (let i = 0; i < 4; i++) serving.schedule();
    if (when === "ended") serving.drain();
    serving.abort(1);
    serving.abort(1);
    expect(serving.scheduler.freeBlocks).toEqual([100]);
    serving.drain();
    expect(serving.events).toHaveLength(when === "ended" ? 1 : 0);
  });

  test("one that never was is let be", () => {
    const scheduler = new Scheduler(CONFIG);
    scheduler.abort(7);
    expect(scheduler.schedule(0)).toBe("idle");
  });
});

describe("refusals", () => {
  test("a prompt of the whole pool runs", () => {
    const serving = new Serving({ ...CONFIG, kvGroups: [{ kind: "full", numBlocks: 5 }] });
    serving.add(request(1, 64, { maxTokens: 1 }));
    serving.drain();
    expect(serving.ids(1)).toHaveLength(1);
  });

  test("a window group holds a request of any length that its window and a chunk fit", () => {
    const kvGroups = [{ kind: "window" as const, window: 32, numBlocks: 5 }];
    const config = { ...CONFIG, kvGroups, maxTokensPerPlan: 16 };
    const serving = new Serving(config);
    serving.add(request(1, 500, { maxTokens: 60 }));
    serving.drain(8);
    expect(serving.ids(1)).toEqual(expectedIds(request(1, 500, { maxTokens: 60 }), kvGroups));
    const small = [{ kind: "window" as const, window: 32, numBlocks: 4 }];
    const add = () => new Serving({ ...config, kvGroups: small }).add(request(1, 500));
    expect(codeOf(add)).toBe("request_too_long");
  });

  test.each([
    ["an empty prompt", { numPromptTokens: 0 }],
    ["maxTokens 0", { maxTokens: 0 }],
    ["a fraction of a token", { maxTokens: 1.5 }],
    ["an id that is not an integer", { id: Number.NaN }],
    ["an id that is alive", { id: 7 }],
  ])("%s", (_, wrong) => {
    const scheduler = new Scheduler(CONFIG);
    scheduler.add({ id: 7, numPromptTokens: 1, maxTokens: 1 }, 0);
    const add = () => scheduler.add({ id: 1, numPromptTokens: 3, maxTokens: 3, ...wrong }, 0);
    expect(codeOf(add)).toBe("bad_request");
    expect(scheduler.numWaiting).toBe(1);
  });

  test.each<[string, Partial<SchedulerConfig>]>([
    ["no layers", { numLayers: 0 }],
    ["a block of 20 tokens", { blockTokens: 20 as 16 }],
    ["fewer tokens than rows", { maxTokensPerPlan: 8, maxRows: 9 }],
    ["no run-ahead", { maxRunAhead: 0 }],
    ["a quantum without a cost model", { quantumMs: 8 }],
    ["a preemption every 0 plans", { forcePreemptionEvery: 0 }],
    ["a quantum of 0", { quantumMs: 0, costs: { predictMs: () => 1 } }],
    ["no KV group", { kvGroups: [] }],
    ["a pool of the trash block alone", { kvGroups: [{ kind: "full", numBlocks: 1 }] }],
    ["a window group without a window", { kvGroups: [{ kind: "window", numBlocks: 9 }] }],
    ["a full group with a window", { kvGroups: [{ kind: "full", window: 4, numBlocks: 9 }] }],
  ])("configuration with %s", (_, wrong) => {
    expect(codeOf(() => new Scheduler({ ...CONFIG, ...wrong }))).toBe("bad_config");
  });

  test("an outcome out of order, twice, or of other rows changes nothing", () => {
    const scheduler = new Scheduler(CONFIG);
    scheduler.add({ id: 1, numPromptTokens: 3, maxTokens: 3 }, 0);
    const commit = (planId: number, ...ids: number[]) => {
      const sampled = ids.map((sequenceId) => ({ sequenceId, finished: true }));
      return scheduler.commit({ planId, gpuMs: 1, sampled }, 0);
    };
    expect(codeOf(() => commit(0, 1))).toBe("bad_outcome");
    scheduler.schedule(0);
    scheduler.schedule(0);
    expect(codeOf(() => commit(1, 1))).toBe("bad_outcome");
    expect(codeOf(() => commit(0))).toBe("bad_outcome");
    expect(codeOf(() => commit(0, 2))).toBe("bad_outcome");
    expect(codeOf(() => commit(0, 1, 2))).toBe("bad_outcome");
    expect(scheduler.numInFlight).toBe(2);
    expect(commit(0, 1)).toHaveLength(1);
    expect(codeOf(() => commit(0, 1))).toBe("bad_outcome");
  });
});
