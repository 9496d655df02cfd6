// Sequences that are taken back and go on: who, when, and that they yield the ids they yield alone.

import { describe, expect, test } from "vitest";
import type { SchedulerConfig, WorkPlan } from "../../scheduler/index.ts";
import { expectedIds } from "./fake-device.ts";
import { codeOf, request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

const CONFIG: SchedulerConfig = {
  numLayers: 3,
  kvGroups: [{ kind: "full", numBlocks: 101 }],
  blockTokens: 16,
};

describe("forced", () => {
  test("the newest goes back to the head of the queue, and starts when its samples are read", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 2 });
    for (const id of [1, 2, 3]) serving.add(request(id, 4));
    const plan = () => spell(serving.schedule());
    expect([plan(), plan()]).toEqual(["1:0-4* 2:0-4* 3:0-4*", "1:4-5* 2:4-5* 3:4-5*"]);
    expect(plan()).toBe("-3 1:5-6* 2:5-6*");
    serving.add(request(4, 4));
    serving.commit();
    // One of its two samples is not read yet; nobody overtakes it.
    expect(plan()).toBe("1:6-7* 2:6-7*");
    serving.commit();
    expect(plan()).toBe("-2 1:7-8*");
    for (let i = 0; i < 3; i++) serving.commit();
    expect(plan()).toBe("1:8-9* 2:0-8* 3:0-6* 4:0-4*");
    serving.drain(8);
    for (const id of [1, 2, 3, 4])
      expect(serving.ids(id)).toEqual(expectedIds(request(id, 4), CONFIG.kvGroups));
  });

  test("its blocks are free at once, and plans in flight may still use them", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 1 });
    serving.add(request(1, 4));
    serving.add(request(2, 100));
    serving.schedule();
    expect(serving.scheduler.freeBlocks).toEqual([100 - 1 - 7]);
    expect(spell(serving.schedule())).toBe("-2 1:4-5*");
    expect(serving.scheduler.freeBlocks).toEqual([100 - 1]);
    expect([serving.scheduler.numRunning, serving.scheduler.numWaiting]).toEqual([1, 1]);
  });

  test("a lone one too, in the plan in which it starts again", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 2, maxTokensPerPlan: 20 });
    serving.add(request(1, 30, { maxTokens: 4 }));
    serving.drain();
    // Not in its prompt, however long that is.
    expect(serving.plans.map(spell)).toEqual([
      "1:0-20",
      "1:20-30*",
      "-1 1:0-20",
      "1:20-31*",
      "-1 1:0-20",
      "1:20-32*",
      "-1 1:0-20",
      "1:20-33*",
    ]);
    expect(serving.ids(1)).toEqual(expectedIds(request(1, 30, { maxTokens: 4 }), CONFIG.kvGroups));
  });

  test("a lone one ahead of its samples waits for them", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 3 });
    serving.add(request(1, 5));
    const plan = () => spell(serving.schedule());
    expect([plan(), plan(), plan()]).toEqual(["1:0-5*", "1:5-6*", "1:6-7*"]);
    expect([plan(), plan()]).toEqual(["idle", "idle"]);
    serving.commit();
    serving.commit();
    expect(plan()).toBe("idle");
    serving.commit();
    expect(plan()).toBe("-1 1:0-8*");
  });

  test("a stop that is read after it was taken back ends it", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 2 });
    serving.add(request(1, 5, { stopEvery: 1 }));
    serving.add(request(2, 5, { maxTokens: 40 }));
    serving.add(request(3, 5, { stopEvery: 1 }));
    for (let i = 0; i < 3; i++) serving.schedule();
    const ended = serving.commit().map(({ sequenceId, reason }) => [sequenceId, reason]);
    expect(ended).toEqual([
      [1, "stop"],
      [3, "stop"],
    ]);
    expect([serving.scheduler.numRunning, serving.scheduler.numWaiting]).toEqual([1, 0]);
    serving.drain(8);
    expect(serving.ids(3)).toHaveLength(1);
  });

  test("an abort while taken back frees nothing twice, and no plan names it", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 1 });
    serving.add(request(1, 5));
    serving.schedule();
    expect(spell(serving.schedule())).toBe("idle");
    serving.abort(1);
    serving.add(request(2, 5));
    expect(spell(serving.schedule())).toBe("2:0-5*");
    serving.drain();
    expect(serving.scheduler.freeBlocks).toEqual([100]);
  });

  test("one that needs the host, in a group with a window", () => {
    const kvGroups = [
      { kind: "full" as const, numBlocks: 20 },
      { kind: "window" as const, window: 20, numBlocks: 12 },
    ];
    const serving = new Serving({ ...CONFIG, kvGroups, forcePreemptionEvery: 3 });
    const asked = [request(1, 40), request(2, 40, { maxTokens: 30, needsHost: true })];
    for (const each of asked) serving.add(each);
    serving.drain(4);
    expect(serving.progress.get(2)!.numPreemptions).toBeGreaterThan(3);
    for (const each of asked) expect(serving.ids(each.id)).toEqual(expectedIds(each, kvGroups));
  });
});

describe("a lost device", () => {
  test("everything starts again from the ids that were read, with the same answer", () => {
    const serving = new Serving({ ...CONFIG, maxTokensPerPlan: 32 });
    const asked = [
      request(1, 20),
      request(2, 50),
      request(3, 10, { needsHost: true, hostDelay: 2 }),
    ];
    for (const each of asked) serving.add(each);
    for (let i = 0; i < 4; i++) serving.schedule();
    serving.commit();
    serving.commit();
    serving.loseDevice();
    expect([serving.scheduler.numRunning, serving.scheduler.numInFlight]).toEqual([0, 0]);
    const plan = serving.schedule() as WorkPlan;
    expect(plan.rows.every(({ tokens }) => tokens.from === 0)).toBe(true);
    serving.drain(8);
    for (const each of asked)
      expect(serving.ids(each.id)).toEqual(expectedIds(each, CONFIG.kvGroups));
  });

  test("nothing of the prefix cache or of a hold is used again", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 100, { session: "kept" }));
    serving.drain();
    serving.hold("kept", 1000);
    serving.loseDevice();
    serving.add(request(2, 0, { promptTokens: request(1, 100).promptTokens, session: "kept" }));
    expect(spell(serving.schedule())).toBe("2:0-100*");
    serving.drain();
    serving.release("kept");
    expect(serving.ids(2)).toEqual(serving.ids(1));
  });

  test("with room for less, who fits goes on, and who never could ends", () => {
    const serving = new Serving({ ...CONFIG, kvGroups: [{ kind: "full", numBlocks: 20 }] });
    const asked = [request(1, 40), request(2, 250), request(3, 20)];
    for (const each of asked) serving.add(each);
    serving.schedule();
    serving.commit();
    expect(serving.loseDevice([9])).toEqual([2]);
    expect(serving.scheduler.freeBlocks).toEqual([8]);
    serving.drain();
    for (const each of [asked[0], asked[2]])
      expect(serving.ids(each.id)).toEqual(expectedIds(each, CONFIG.kvGroups));
    expect(codeOf(() => serving.add(request(4, 250)))).toBe("request_too_long");
  });

  test("an outcome of before is refused", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 5));
    serving.schedule();
    serving.loseDevice();
    const outcome = { planId: 0, gpuMs: 1, sampled: [{ sequenceId: 1, finished: false }] };
    expect(codeOf(() => serving.scheduler.commit(outcome, 0))).toBe("bad_outcome");
    serving.drain();
  });
});
