// The corner cases that schedulers are known to fall over, each by its name: what a user of the
// scheduler sees of them. `Serving` checks the invariants after every step, and that no plan is
// missing while somebody could run; the fake device, that no block is read by two.

import { describe, expect, test } from "vitest";
import { Scheduler, type SchedulerConfig, SchedulerError } from "../../scheduler/index.ts";
import { expectedIds, type FakeRequest } from "./fake-device.ts";
import { codeOf, request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

/** Blocks of 16 tokens; the trash block comes on top. */
function withPool(numBlocks: number, rest: Partial<SchedulerConfig> = {}): Serving {
  const kvGroups = [{ kind: "full" as const, numBlocks: numBlocks + 1 }];
  return new Serving({ numLayers: 3, kvGroups, blockTokens: 16, prefixCache: true, ...rest });
}

/** To the end, one plan after the other. @returns Its plans. */
function serve(serving: Serving, asked: FakeRequest): string[] {
  const numPlans = serving.plans.length;
  serving.add(asked);
  serving.drain();
  return serving.plans.slice(numPlans).map(spell);
}

/** What each yields alone, in full. */
function expectOwnIds(serving: Serving, ...asked: FakeRequest[]): void {
  for (const each of asked)
    expect(serving.ids(each.id)).toEqual(expectedIds(each, [{ kind: "full", numBlocks: 0 }]));
}

describe("one sequence that cannot append a block", () => {
  // It would be taken back for itself, and again, or leave a plan without rows.
  test("alone, it reaches the last token that the pool has place for", () => {
    const serving = withPool(4, { admission: "optimistic" });
    const alone = request(1, 40, { maxTokens: 25 });
    const plans = serve(serving, alone);
    expect(plans).toHaveLength(25);
    expect(plans.join(" ")).not.toContain("-1 ");
    expectOwnIds(serving, alone);
  });

  test("alone beside memory that is held, the hold goes and it goes on", () => {
    const serving = withPool(6, { admission: "optimistic" });
    const before = request(1, 40, { maxTokens: 9, session: "agent" });
    const alone = request(2, 40, { maxTokens: 30 });
    serving.add(before);
    serving.schedule();
    serving.add(alone);
    serving.hold("agent", 60_000);
    serving.drain();
    expect(serving.scheduler.holds.broken).toBe(1);
    expect(serving.progress.get(2)!.numPreemptions).toBe(0);
    expectOwnIds(serving, before, alone);
  });

  test("the newest of several sits out with what it has; the others go on", () => {
    const serving = withPool(5, { admission: "optimistic" });
    const asked = [request(1, 40, { maxTokens: 6 }), request(2, 32, { maxTokens: 10 })];
    for (const each of asked) serving.add(each);
    expect(spell(serving.schedule())).toBe("1:0-40* 2:0-32*");
    // The third block that it needs is nobody's to give but its own.
    expect(spell(serving.schedule())).toBe("1:40-41*");
    expect([serving.scheduler.numRunning, serving.scheduler.freeBlocks]).toEqual([2, [0]]);
    serving.drain();
    expect(serving.progress.get(2)!.numPreemptions).toBe(0);
    expectOwnIds(serving, ...asked);
  });
});

describe("every request pinned", () => {
  const sessions = [1, 2, 3];
  const firstStep = (id: number) => request(id, 100, { maxTokens: 5, session: `agent ${id}` });

  /** Three sessions that hold 18 of 20 blocks: full ones of their prompt and answer. */
  function allHeld(): Serving {
    const serving = withPool(20);
    for (const id of sessions) {
      serve(serving, firstStep(id));
      serving.hold(`agent ${id}`, 60_000 * id);
    }
    expect(serving.scheduler.freeBlocks).toEqual([2]);
    return serving;
  }

  test("a newcomer runs: as many holds go as it needs, the longest first", () => {
    const serving = allHeld();
    const newcomer = request(50, 200, { maxTokens: 20 });
    serve(serving, newcomer);
    expect(serving.scheduler.holds.broken).toBe(2);
    expect(serving.scheduler.freeBlocks).toEqual([20 - 6]);
    expectOwnIds(serving, newcomer);
    const promptTokens = [...firstStep(1).promptTokens, ...serving.ids(1), 5, 6];
    expect(serve(serving, { ...firstStep(51), promptTokens, session: "agent 1" })[0]).toBe(
      "51:96-107*",
    );
  });

  test("the next steps of all, which together need more than there is, end with their own ids", () => {
    const serving = allHeld();
    const next = sessions.map((id) => ({
      ...request(id + 10, 0, { maxTokens: 60, session: `agent ${id}` }),
      promptTokens: [...firstStep(id).promptTokens, ...serving.ids(id), 5, 6],
    }));
    for (const each of next) serving.add(each);
    serving.drain(4);
    expectOwnIds(serving, ...next);
    expect(serving.progress.get(11)!.numHitTokens).toBe(96);
    expect(serving.scheduler.holds).toEqual({ used: 2, expired: 0, broken: 3 });
  });
});

describe("a request larger than the pool", () => {
  const config: SchedulerConfig = {
    ...{ numLayers: 3, blockTokens: 16 },
    kvGroups: [{ kind: "full", numBlocks: 5 }],
  };

  test("is a typed error at once, which says what would fit", () => {
    const scheduler = new Scheduler(config);
    const add = (numPromptTokens: number, maxTokens: number) =>
      scheduler.add({ id: 1, numPromptTokens, maxTokens }, 0);
    expect(() => add(50, 16)).toThrow(SchedulerError);
    expect(codeOf(() => add(50, 16))).toBe("request_too_long");
    expect(() => add(50, 16)).toThrow(
      "request of 50 prompt tokens and up to 16 new ones needs 5 KV blocks of 16 tokens in KV " +
        "group 0 (full), the pool has 4; ask for at most 15 new tokens or raise the KV memory budget",
    );
    expect(() => add(65, 1)).toThrow("shorten the prompt or raise the KV memory budget");
    expect([scheduler.numWaiting, scheduler.freeBlocks]).toEqual([0, [4]]);
    // What it said would fit does, under the same id.
    add(50, 15);
    expect(spell(scheduler.schedule(0))).toBe("1:0-50*");
  });

  test("changes nothing for those that run and wait", () => {
    const serving = withPool(4);
    const asked = [request(1, 30), request(2, 30), request(3, 30)];
    for (const each of asked) serving.add(each);
    serving.schedule();
    expect(codeOf(() => serving.add(request(4, 65)))).toBe("request_too_long");
    serving.drain(4);
    expectOwnIds(serving, ...asked);
    expect(serving.scheduler.freeBlocks).toEqual([4]);
  });
});

describe("abort while its plan is in flight", () => {
  test("its blocks are another's before the plan is read; nobody's ids change", () => {
    const serving = withPool(8, { admission: "optimistic" });
    const neighbour = request(2, 20, { maxTokens: 12 });
    serving.add(request(1, 80, { maxTokens: 16 }));
    serving.add(neighbour);
    serving.schedule();
    serving.schedule();
    expect(serving.scheduler.freeBlocks).toEqual([0]);
    serving.abort(1);
    expect(serving.scheduler.freeBlocks).toEqual([6]);
    const heir = request(3, 80, { maxTokens: 16 });
    serving.add(heir);
    expect(spell(serving.schedule())).toBe("2:21-22* 3:0-80*");
    expect(serving.scheduler.numInFlight).toBe(3);
    // Both plans that the aborted one has rows in.
    expect([serving.commit(), serving.commit()]).toEqual([[], []]);
    serving.drain(4);
    expect(serving.ids(1)).toEqual([]);
    expect(serving.events.map(({ sequenceId }) => sequenceId).sort()).toEqual([2, 3]);
    expectOwnIds(serving, neighbour, heir);
  });

  test("in its prompt, of which plans sample nothing", () => {
    const serving = withPool(8, { maxTokensPerPlan: 32 });
    serving.add(request(1, 100));
    expect([spell(serving.schedule()), spell(serving.schedule())]).toEqual(["1:0-32", "1:32-64"]);
    serving.abort(1);
    expect(serving.schedule()).toBe("idle");
    expect([serving.commit(), serving.commit()]).toEqual([[], []]);
    expect(serving.scheduler.freeBlocks).toEqual([8]);
    const next = request(2, 100);
    serve(serving, next);
    expectOwnIds(serving, next);
  });

  test("whoever gets its id does not get its outcomes", () => {
    const serving = withPool(8);
    serving.add(request(1, 4, { maxTokens: 3 }));
    serving.schedule();
    serving.schedule();
    serving.abort(1);
    serving.scheduler.add({ id: 1, numPromptTokens: 2, maxTokens: 1 }, 0);
    const sampled = [{ sequenceId: 1, finished: true }];
    expect(serving.scheduler.commit({ planId: 0, gpuMs: 1, sampled }, 0)).toEqual([]);
    expect(spell(serving.scheduler.schedule(0))).toBe("1:0-2*");
    expect(serving.scheduler.commit({ planId: 1, gpuMs: 1, sampled }, 0)).toEqual([]);
    expect(serving.scheduler.commit({ planId: 2, gpuMs: 1, sampled }, 0)).toHaveLength(1);
  });
});

describe("prefix hit on a block being evicted", () => {
  /** All prompts are beginnings of one text, or of the other. */
  const from = (text: number, id: number, numTokens: number, maxTokens: number): FakeRequest => {
    const { promptTokens } = request(text, numTokens);
    return { ...request(id, 0, { maxTokens }), promptTokens };
  };

  test("next to be evicted, it is the arrival's before others can take it", () => {
    // 1 leaves three blocks behind; 2 needs the last fresh ones, and then the oldest of those three.
    const serving = withPool(8, { admission: "optimistic" });
    const [before, grows, arrival] = [from(1, 1, 48, 4), from(2, 2, 64, 20), from(1, 3, 40, 3)];
    serve(serving, before);
    serving.add(grows);
    serving.schedule();
    expect(serving.scheduler.freeBlocks).toEqual([4]);
    // Its next token takes a fresh block, the arrival two of the three, and one of its own.
    serving.add(arrival);
    expect(spell(serving.schedule())).toBe("2:64-65* 3:32-40*");
    expect(serving.scheduler.freeBlocks).toEqual([0]);
    serving.drain(2);
    expectOwnIds(serving, before, grows, arrival);
  });

  test("evicted by a row of the same plan, it is computed again", () => {
    const serving = withPool(7, { admission: "optimistic" });
    const [before, grows, arrival] = [from(1, 1, 49, 1), from(2, 2, 64, 20), from(1, 3, 49, 1)];
    serve(serving, before);
    serving.add(grows);
    serving.schedule();
    // All that is free is what the arrival would find; the row before it takes the end of that.
    expect(serving.scheduler.freeBlocks).toEqual([3]);
    serving.add(arrival);
    expect(spell(serving.schedule())).toBe("2:64-65*");
    serving.abort(2);
    expect(spell(serving.schedule())).toBe("3:32-49*");
    serving.drain();
    expectOwnIds(serving, before, arrival);
  });
});

describe("two identical prompts in the same plan", () => {
  const { promptTokens } = request(1, 40);
  const asked = [1, 2, 3].map((id) => ({ ...request(id, 0), promptTokens }));

  test("both compute theirs; whoever comes next shares one of them", () => {
    const serving = withPool(20);
    serving.add(asked[0]);
    serving.add(asked[1]);
    expect(spell(serving.schedule())).toBe("1:0-40* 2:0-40*");
    serving.add(asked[2]);
    expect(spell(serving.schedule())).toBe("1:40-41* 2:40-41* 3:32-40*");
    // Three blocks each, and two of the third's are another's.
    expect(serving.scheduler.freeBlocks).toEqual([20 - 3 - 3 - 1]);
    serving.drain(4);
    expectOwnIds(serving, ...asked);
    expect(serving.ids(2)).toEqual(serving.ids(1));
    expect(serving.scheduler.freeBlocks).toEqual([20]);
  });

  test("one is aborted in that plan, and the other is none the worse", () => {
    const serving = withPool(20);
    serving.add(asked[0]);
    serving.add(asked[1]);
    serving.schedule();
    serving.abort(1);
    serving.drain(4);
    expectOwnIds(serving, asked[1]);
  });
});

describe("all that run, taken back for one plan", () => {
  // One by force, the other for the arrival: if nobody then started, nobody would ever go on.
  test("leave their place to the arrival, which starts", () => {
    const kvGroups = [{ kind: "full" as const, numBlocks: 5 }];
    const costs = { copyMs: () => 1, predictMs: () => 0.5 };
    const limits = { maxTokensPerPlan: 2, maxRows: 2, quantumMs: 1, maxRunAhead: 1, numLayers: 1 };
    const serving = new Serving({ kvGroups, costs, ...limits, forcePreemptionEvery: 3 });
    const { promptTokens } = request(0, 37);
    const agent = { priority: "agent" as const, promptTokens };
    const asked = [
      request(0, 37, { ...agent, maxTokens: 10 }),
      request(1, 1, { maxTokens: 1 }),
      request(2, 37, { ...agent, maxTokens: 2, forkOf: 0 }),
      request(3, 1, { maxTokens: 1 }),
      // Waits for the prompt of one that runs, and is more urgent than both.
      request(4, 37, { promptTokens, maxTokens: 9, forkOf: 2 }),
    ];
    for (const each of asked) serving.add(each);
    serving.drain();
    expectOwnIds(serving, ...asked);
  });
});
