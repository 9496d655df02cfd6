// Sequences that begin behind what others have computed: when, how far, and with the same ids.

import { describe, expect, test } from "vitest";
import { Scheduler, type SchedulerConfig } from "../../scheduler/index.ts";
import { expectedIds, type FakeRequest } from "./fake-device.ts";
import { codeOf, NEVER, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

const CONFIG: SchedulerConfig = {
  numLayers: 3,
  kvGroups: [{ kind: "full", numBlocks: 101 }],
  blockTokens: 16,
  prefixCache: true,
};

const TEXT = Array.from({ length: 200 }, (_, i) => (i * 389) % 1009);

/** Prompts of all are beginnings of one text. */
function request(id: number, numTokens: number, rest: Partial<FakeRequest> = {}): FakeRequest {
  return { id, promptTokens: TEXT.slice(0, numTokens), maxTokens: 4, stopEvery: NEVER, ...rest };
}

function withPool(numBlocks: number, rest: Partial<SchedulerConfig> = {}): Serving {
  const kvGroups = [{ kind: "full" as const, numBlocks: numBlocks + 1 }];
  return new Serving({ ...CONFIG, kvGroups, ...rest });
}

/** To the end, one plan after the other. */
function serve(serving: Serving, ...requests: FakeRequest[]): string[] {
  const numPlans = serving.plans.length;
  for (const each of requests) serving.add(each);
  serving.drain();
  return serving.plans.slice(numPlans).map(spell);
}

function expectOwnIds(serving: Serving, kvGroups = CONFIG.kvGroups): void {
  for (const { request: asked, ids } of serving.progress.values())
    expect(ids).toEqual(expectedIds(asked, kvGroups));
}

describe("a later request", () => {
  test("computes only what is new", () => {
    const serving = new Serving(CONFIG);
    expect(serve(serving, request(1, 50))[0]).toBe("1:0-50*");
    expect(serve(serving, request(2, 50))[0]).toBe("2:48-50*");
    // At least the last token, for its logits.
    expect(serve(serving, request(3, 48))[0]).toBe("3:32-48*");
    expect(serve(serving, request(4, 90))[0]).toBe("4:48-90*");
    expect(serve(serving, request(5, 15))[0]).toBe("5:0-15*");
    expectOwnIds(serving);
  });

  test("begins behind the answer before it, too", () => {
    const serving = new Serving(CONFIG);
    serve(serving, request(1, 50, { maxTokens: 15 }));
    const promptTokens = [...TEXT.slice(0, 50), ...serving.ids(1), 7, 8, 9];
    // 64 of the 65 tokens were computed.
    expect(serve(serving, request(2, 0, { promptTokens }))[0]).toBe("2:64-68*");
    expectOwnIds(serving);
  });

  test("keeps shared blocks when the one that computed them ends or is aborted", () => {
    const serving = new Serving(CONFIG);
    serving.add(request(1, 40, { maxTokens: 2 }));
    serving.schedule();
    serving.add(request(2, 45, { maxTokens: 30 }));
    serving.schedule();
    serving.abort(1);
    expect(serving.scheduler.freeBlocks).toEqual([100 - 3]);
    serving.add(request(3, 60));
    serving.drain(3);
    expect(serving.ids(2)).toEqual(expectedIds(request(2, 45, { maxTokens: 30 }), CONFIG.kvGroups));
  });

  test("shares nothing with another salt, without ids, or when the cache is off", () => {
    const serving = new Serving(CONFIG);
    serve(serving, request(1, 50, { cacheSalt: "a" }));
    expect(serve(serving, request(2, 50, { cacheSalt: "b" }))[0]).toBe("2:0-50*");
    expect(serve(serving, request(3, 50))[0]).toBe("3:0-50*");
    expect(serve(serving, request(4, 50, { cacheSalt: "a" }))[0]).toBe("4:48-50*");
    const promptIds = TEXT.slice(0, 50);
    for (const [prefixCache, ids] of [
      [true, undefined],
      [false, promptIds],
    ] as const) {
      const scheduler = new Scheduler({ ...CONFIG, prefixCache });
      const add = (id: number) =>
        scheduler.add({ id, numPromptTokens: 50, promptIds: ids, maxTokens: 1 }, 0);
      add(1);
      scheduler.schedule(0);
      add(2);
      expect(spell(scheduler.schedule(0))).toBe("2:0-50*");
    }
  });

  test("without the ids of an answer, its prompt is still shared", () => {
    const scheduler = new Scheduler(CONFIG);
    const run = (id: number, promptIds: number[], tokenIds: (number | undefined)[]) => {
      const maxTokens = tokenIds.length;
      scheduler.add({ id, numPromptTokens: promptIds.length, promptIds, maxTokens }, 0);
      const plans = tokenIds.map((tokenId) => {
        const plan = scheduler.schedule(0);
        if (plan === "idle") throw new Error("idle");
        const sampled = [{ sequenceId: id, finished: false, tokenId }];
        scheduler.commit({ planId: plan.id, gpuMs: 1, sampled }, 0);
        return spell(plan);
      });
      return plans[0];
    };
    const prompt = TEXT.slice(0, 30);
    const answer = Array.from({ length: 20 }, (_, i) => i);
    run(
      1,
      prompt,
      answer.map((id) => (id === 1 ? undefined : id)),
    );
    expect(run(2, [...prompt, ...answer], [1])).toBe("2:16-50*");
    run(3, prompt, answer);
    expect(run(4, [...prompt, ...answer], [1])).toBe("4:48-50*");
  });

  test("behind a window, only what it still sees is taken", () => {
    const kvGroups = [
      { kind: "full" as const, numBlocks: 60 },
      { kind: "window" as const, window: 20, numBlocks: 40 },
    ];
    const serving = new Serving({ ...CONFIG, kvGroups, maxTokensPerPlan: 32 });
    serve(serving, request(1, 90));
    serving.add(request(2, 90));
    const plan = serving.schedule();
    expect(spell(plan)).toBe("2:80-90*");
    if (plan === "idle") return;
    // The query at 80 sees 61 to 80.
    const [full, window] = plan.rows[0].blockTables.map((table) => table.map((block) => block > 0));
    expect(full).toEqual([true, true, true, true, true, true]);
    expect(window).toEqual([false, false, false, true, true, true]);
    serving.drain(3);
    expectOwnIds(serving, kvGroups);
  });

  test("more promptIds than prompt tokens are refused", () => {
    const scheduler = new Scheduler(CONFIG);
    const bad = { id: 1, numPromptTokens: 4, promptIds: [1, 2, 3], maxTokens: 1 };
    expect(codeOf(() => scheduler.add(bad, 0))).toBe("bad_request");
  });
});

describe("when memory is short", () => {
  test("what was evicted is computed again", () => {
    const serving = withPool(8);
    serve(serving, request(1, 96));
    serve(serving, request(2, 0, { promptTokens: TEXT.slice(100, 180) }));
    // The end went first.
    expect(serve(serving, request(3, 96))[0]).toMatch(/^3:(16|32)-96\*$/);
    expectOwnIds(serving);
  });

  test("a start that finds too few blocks leaves its hit untouched", () => {
    const serving = withPool(6, { admission: "optimistic" });
    serve(serving, request(1, 48));
    serving.add(request(2, 40, { promptTokens: TEXT.slice(100, 140), maxTokens: 24 }));
    serving.schedule();
    // Three blocks are free, and all of them are the hit: none is left for what is new.
    serving.add(request(3, 49, { maxTokens: 2 }));
    expect(serving.scheduler.freeBlocks).toEqual([3]);
    expect(spell(serving.schedule())).toBe("2:40-41*");
    expect(serving.scheduler.freeBlocks).toEqual([3]);
    serving.abort(2);
    expect(spell(serving.schedule())).toBe("3:48-49*");
    serving.drain();
    expect(serving.ids(3)).toEqual(expectedIds(request(3, 49, { maxTokens: 2 }), CONFIG.kvGroups));
  });

  test("a request that was taken back finds its own blocks", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 2 });
    expect(serve(serving, request(1, 40, { maxTokens: 12 }))).toEqual([
      "1:0-40*",
      "1:40-41*",
      "-1 1:32-42*",
      "1:42-43*",
      "-1 1:32-44*",
      "1:44-45*",
      "-1 1:32-46*",
      "1:46-47*",
      "-1 1:32-48*",
      "1:48-49*",
      "-1 1:48-50*",
      "1:50-51*",
    ]);
    expectOwnIds(serving);
  });

  test("those of its blocks that are left, when others needed some", () => {
    const serving = withPool(9, { admission: "optimistic", maxRows: 2 });
    serving.add(request(1, 60, { maxTokens: 50 }));
    serving.add(request(2, 60, { promptTokens: TEXT.slice(100, 160), maxTokens: 20 }));
    serving.drain(2);
    const { numPreemptions, numHitTokens } = serving.progress.get(2)!;
    expect(numPreemptions).toBeGreaterThan(0);
    expect(numHitTokens).toBeGreaterThan(0);
    expectOwnIds(serving);
  });
});
