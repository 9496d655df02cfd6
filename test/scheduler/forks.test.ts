// Several answers to one prompt: computed once, its blocks shared, its last block copied; and what
// happens when that cannot be.

import { describe, expect, test } from "vitest";
import { type AdmissionName, Scheduler, type SchedulerConfig } from "../../scheduler/index.ts";
import { expectedIds, type FakeRequest } from "./fake-device.ts";
import { codeOf, request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

/** Ids are not told, so that nothing but a fork shares blocks. */
const CONFIG: SchedulerConfig = {
  numLayers: 3,
  kvGroups: [{ kind: "full", numBlocks: 101 }],
  blockTokens: 16,
};

/** Requests 1 to `n`, of one prompt. Their answers differ: a fork goes on from another last token. */
function family(n: number, numPromptTokens: number, rest: Partial<FakeRequest> = {}) {
  const parent = request(1, numPromptTokens, rest);
  return Array.from({ length: n }, (_, i) => ({
    ...parent,
    id: i + 1,
    forkOf: i > 0 ? 1 : undefined,
  }));
}

function serving(asked: readonly FakeRequest[], rest: Partial<SchedulerConfig> = {}): Serving {
  const all = new Serving({ ...CONFIG, ...rest });
  for (const each of asked) all.add(each);
  return all;
}

function expectOwnIds(all: Serving, config = CONFIG): void {
  for (const { request: asked, ids, state } of all.progress.values())
    if (state === "finished") expect(ids).toEqual(expectedIds(asked, config.kvGroups));
}

const numComputed = ({ plans }: Serving): number =>
  plans.flatMap(({ rows }) => rows).reduce((sum, { tokens }) => sum + tokens.to - tokens.from, 0);

describe("a fork", () => {
  test("waits for its parent's prompt, and computes its last token alone", () => {
    const all = serving(family(3, 40));
    const plan = () => spell(all.schedule());
    expect(plan()).toBe("1:0-40*");
    expect(plan()).toBe("1:40-41* 2:39-40* 3:39-40*");
    all.drain();
    // The prompt once, two last tokens more, and all that was sampled but the last of each.
    expect(numComputed(all)).toBe(40 + 2 + 3 * 7);
    expectOwnIds(all);
  });

  test("shares full blocks, and gets a copy of the partial one before any row", () => {
    const all = serving(family(3, 40));
    const [first] = [all.schedule(), all.schedule()];
    expect(first).toMatchObject({ copies: [] });
    const { copies, rows } = all.plans[1];
    // 32 of the 39 tokens are in blocks 1 and 2.
    expect(copies).toEqual([
      { group: 0, from: 3, to: 4 },
      { group: 0, from: 3, to: 5 },
    ]);
    expect(rows.map(({ blockTables }) => blockTables[0])).toEqual([
      [1, 2, 3],
      [1, 2, 4],
      [1, 2, 5],
    ]);
    all.drain();
  });

  test("copies nothing where the prompt but for its last token fills blocks", () => {
    const all = serving(family(2, 33));
    all.schedule();
    all.schedule();
    expect(spell(all.plans[1])).toBe("1:33-34* 2:32-33*");
    expect(all.plans[1].copies).toEqual([]);
    expect(all.plans[1].rows[1].blockTables).toEqual([[1, 2, 4]]);
    all.drain();
    expectOwnIds(all);
  });

  test("of a prompt of one token shares nothing and does not wait", () => {
    const all = serving(family(2, 1));
    expect(spell(all.schedule())).toBe("1:0-1* 2:0-1*");
    all.drain();
  });

  test("waits for the last chunk of its parent's prompt, and lets others go before it meanwhile", () => {
    const all = serving(family(2, 60), { maxTokensPerPlan: 32 });
    all.add(request(9, 10));
    const plan = () => spell(all.schedule());
    expect([plan(), plan()]).toEqual(["1:0-32", "1:32-60* 9:0-4"]);
    expect(plan()).toBe("1:60-61* 9:4-10* 2:59-60*");
    all.drain();
    expectOwnIds(all);
  });

  test("starts beside its parent's last prompt token, if that comes alone", () => {
    const all = serving(family(2, 40), { maxTokensPerPlan: 39 });
    expect([all.schedule(), all.schedule()].map(spell)).toEqual(["1:0-39", "1:39-40* 2:39-40*"]);
    all.drain();
    expectOwnIds(all);
  });

  test("waits for all layers of a parent that was cut by layers", () => {
    const costs = { predictMs: ({ numTokens }: { numTokens: number }) => 4 + numTokens / 10 };
    const cut = { numLayers: 1, costs, quantumMs: 5, cutBy: "layers" as const };
    const all = serving(family(2, 40), { ...cut, maxParkedTokens: 64 });
    const plan = () => spell(all.schedule());
    expect([plan(), plan()]).toEqual(["1:0-40", "1:0-40*"]);
    expect(all.plans[0].rows[0].stages).toEqual({ from: 0, to: 2 });
    all.commit();
    expect(plan()).toBe("1:40-41* 2:39-40*");
    all.drain();
    expectOwnIds(all);
  });

  test("of a fork is a fork", () => {
    const [one, two, three] = family(3, 40);
    const all = serving([one, two, { ...three, forkOf: 2 }]);
    const plans = [all.schedule(), all.schedule(), all.schedule()].map(spell);
    expect(plans[1]).toBe("1:40-41* 2:39-40*");
    expect(plans[2]).toBe("1:41-42* 2:40-41* 3:39-40*");
    all.drain();
    expectOwnIds(all);
  });

  test("long after its parent began still begins with the prompt", () => {
    const [one, two] = family(2, 40, { maxTokens: 50 });
    const all = serving([one]);
    for (let i = 0; i < 8; i++) all.schedule();
    all.add(two);
    all.commit();
    expect(spell(all.schedule())).toContain("2:39-40*");
    expect(all.plans.at(-1)!.copies).toEqual([{ group: 0, from: 3, to: 4 }]);
    all.drain();
    expectOwnIds(all);
  });

  test("is charged for the token that it computes", () => {
    // Clients A and B wait for the one row. B's request came before A's forks.
    const rest = { maxRows: 1, maxTokensPerPlan: 512, prefixCache: true };
    const [one, two] = family(2, 100, { client: "A", maxTokens: 2 });
    const all = serving([one, two, request(9, 60, { client: "B", maxTokens: 2 })], rest);
    const order = () => all.plans.map(({ rows }) => rows[0].sequenceId);
    all.drain();
    // A has had 100 tokens, B none.
    expect(order().filter((id, i, ids) => id !== ids[i - 1])).toEqual([1, 9, 2]);
  });
});

describe("without a parent to begin with", () => {
  const three = family(3, 40);

  test.each([
    ["before it began", 0],
    ["in its prompt", 1],
  ])("aborted %s: forks compute the prompt", (_, numPlans) => {
    const all = serving(three, { maxTokensPerPlan: 30 });
    for (let i = 0; i < numPlans; i++) all.schedule();
    all.abort(1);
    expect(spell(all.schedule())).toBe("2:0-30");
    all.drain();
    expectOwnIds(all);
  });

  test("aborted when they have begun: they keep the blocks, the copy among them", () => {
    const all = serving(three);
    all.schedule();
    all.schedule();
    all.abort(1);
    // Of the parent's three blocks the last is free.
    expect(all.scheduler.freeBlocks).toEqual([100 - 4]);
    all.add(request(9, 60));
    all.drain(8);
    expectOwnIds(all);
  });

  test("ended at once: they begin with what the prefix cache has", () => {
    const all = serving(family(2, 40, { maxTokens: 1 }), { prefixCache: true });
    all.drain();
    expect(all.plans.map(spell)).toEqual(["1:0-40*", "2:32-40*"]);
    expectOwnIds(all);
  });

  test("aborted themselves while they wait: nothing is left of them", () => {
    const all = serving(three);
    all.abort(2);
    expect(all.scheduler.numWaiting).toBe(2);
    all.schedule();
    expect(spell(all.schedule())).toBe("1:40-41* 3:39-40*");
    all.abort(3);
    all.drain();
    expect([all.scheduler.numWaiting, all.scheduler.freeBlocks]).toEqual([0, [100]]);
  });

  test("taken back in its prompt: they wait until it has gone through it again", () => {
    const all = serving(family(2, 60, { priority: "agent" }), { maxRows: 1, maxTokensPerPlan: 32 });
    expect(spell(all.schedule())).toBe("1:0-32");
    all.add(request(9, 10, { maxTokens: 1 }));
    expect(spell(all.schedule())).toBe("-1 9:0-10*");
    all.commit();
    all.commit();
    expect([all.schedule(), all.schedule()].map(spell)).toEqual(["1:0-32", "1:32-60*"]);
    all.drain();
    expectOwnIds(all);
  });

  test("taken back in its answer: it goes first, and they begin behind it or without it", () => {
    const all = serving([three[0]], { forcePreemptionEvery: 2, maxRows: 1 });
    all.schedule();
    all.add(three[1]);
    all.add(three[2]);
    all.drain(3);
    expect(all.progress.get(1)!.numPreemptions).toBeGreaterThan(0);
    expectOwnIds(all);
  });

  test("a fork that was taken back begins as a fork again", () => {
    const [one, two] = family(2, 40);
    const all = serving([one, { ...two, priority: "agent" }], { maxRows: 2 });
    all.schedule();
    all.schedule();
    all.add(request(9, 10, { maxTokens: 1 }));
    expect(spell(all.schedule())).toBe("-2 1:41-42* 9:0-10*");
    while (all.commit().length === 0);
    expect(spell(all.schedule())).toBe("1:42-43* 2:39-41*");
    all.drain();
    expectOwnIds(all);
  });

  test("with the device lost, each starts again from its ids", () => {
    const all = serving(three);
    all.schedule();
    all.schedule();
    all.commit();
    all.loseDevice();
    all.drain(4);
    expectOwnIds(all);
  });
});

describe("memory", () => {
  test("no block for the copy: it waits for one, and nothing has changed", () => {
    const kvGroups = [{ kind: "full" as const, numBlocks: 1 + 4 }];
    // The parent has three blocks, another request the fourth.
    const tight = { kvGroups, admission: "optimistic" as const };
    const all = serving(
      [...family(2, 40, { maxTokens: 3 }), request(9, 10, { maxTokens: 6 })],
      tight,
    );
    expect(spell(all.schedule())).toBe("1:0-40* 9:0-10*");
    const plan = all.schedule();
    expect(spell(plan)).toBe("1:40-41* 9:10-11*");
    expect(plan).toMatchObject({ copies: [] });
    expect(all.scheduler.freeBlocks).toEqual([0]);
    all.drain(2);
    expectOwnIds(all, { ...CONFIG, kvGroups });
    expect(all.scheduler.freeBlocks).toEqual([4]);
  });

  test("a window's blocks are shared from the first that is seen on", () => {
    const kvGroups = [
      { kind: "full" as const, numBlocks: 30 },
      { kind: "window" as const, window: 20, numBlocks: 30 },
    ];
    const all = serving(family(2, 60), { kvGroups });
    all.schedule();
    all.schedule();
    const [parent, fork] = all.plans[1].rows.map(({ blockTables }) => blockTables);
    // A query at 59 sees 40 to 59, so two blocks have passed. The parent's row gives one of them up,
    // which the copy may write: rows of this plan do not read it any more.
    expect(parent[1]).toEqual([0, 0, 3, 4]);
    expect(fork).toEqual([
      [1, 2, 3, 5],
      [0, 0, 3, 2],
    ]);
    expect(all.plans[1].copies).toEqual([
      { group: 0, from: 4, to: 5 },
      { group: 1, from: 4, to: 2 },
    ]);
    all.drain();
    expectOwnIds(all, { ...CONFIG, kvGroups });
  });

  test("where a window has passed the end of the prompt, a fork begins without", () => {
    const kvGroups = [{ kind: "window" as const, window: 4, numBlocks: 30 }];
    const [one, two] = family(2, 20, { maxTokens: 40 });
    const all = serving([one], { kvGroups });
    // Its row at 35 is the first that does not see the block of tokens 16 to 31.
    while (!spell(all.schedule()).startsWith("1:35")) all.commit();
    all.commit();
    all.add(two);
    expect(spell(all.schedule())).toBe("1:36-37* 2:0-20*");
    all.drain();
    expectOwnIds(all, { ...CONFIG, kvGroups });
  });

  test("a parent that will still give blocks back in the plan is not begun with", () => {
    const kvGroups = [{ kind: "window" as const, window: 4, numBlocks: 30 }];
    const [a] = family(1, 20, { maxTokens: 60, priority: "completion" });
    const all = serving([a], { kvGroups, maxTokensPerPlan: 60 });
    for (let i = 0; i < 25; i++) {
      all.schedule();
      all.commit();
    }
    all.loseDevice();
    const b = request(3, 20);
    all.add({ ...a, id: 2, forkOf: 1, priority: "interactive" });
    all.add(b);
    all.add({ ...b, id: 4, forkOf: 3, priority: "completion", client: "b" });
    expect(spell(all.schedule())).toBe("-1 3:0-20* 1:0-40");
    // Else 2 would copy a block that 1 then gives back, and 4 would copy to it.
    expect(spell(all.schedule())).toBe("3:20-21* 1:40-45* 4:19-20*");
    all.drain();
    expectOwnIds(all, { ...CONFIG, kvGroups });
  });

  // A prompt of 320 tokens takes 20 of 64 blocks, of which 19 can be shared.
  test.each<AdmissionName>(["conservative", "optimistic", "oracle", "past-future"])(
    "%s counts a prompt that is shared once",
    (admission) => {
      const kvGroups = [{ kind: "full" as const, numBlocks: 1 + 64 }];
      const rest = { admission, kvGroups, maxRows: 64, maxTokensPerPlan: 512 };
      const asked = family(40, 320, { maxTokens: 17, outputTokens: 17 });
      const all = serving(asked, rest);
      const apart = serving(
        asked.map(({ forkOf: _, ...each }) => each),
        rest,
      );
      for (let i = 0; i < 2; i++) for (const each of [all, apart]) each.schedule();
      expect(apart.scheduler.numRunning).toBeLessThanOrEqual(3);
      // 21 for the first, and two for each other: the last of the prompt's, and one for the answer.
      expect(all.scheduler.numRunning).toBeGreaterThan(14);
      all.drain();
      const taken = [...all.progress.values()].filter(({ numPreemptions }) => numPreemptions > 0);
      if (admission === "conservative" || admission === "oracle") expect(taken).toEqual([]);
      expectOwnIds(all, { ...CONFIG, kvGroups });
    },
  );

  test("with the prefix cache on, the same, and the same blocks are published once", () => {
    const all = serving(family(3, 40), { prefixCache: true });
    expect([all.schedule(), all.schedule()].map(spell)[1]).toBe("1:40-41* 2:39-40* 3:39-40*");
    all.drain(4);
    all.add(request(9, 0, { promptTokens: request(1, 40).promptTokens }));
    expect(spell(all.schedule())).toBe("9:32-40*");
    all.drain();
    expectOwnIds(all);
  });
});

test("forks of a completion do not supersede it, and the next completion ends them all", () => {
  const all = serving(family(3, 40, { priority: "completion" }));
  expect(all.events).toEqual([]);
  all.schedule();
  all.schedule();
  all.add(request(9, 10, { priority: "completion" }));
  expect(all.events.map(({ sequenceId, reason }) => [sequenceId, reason])).toEqual(
    [1, 2, 3].map((id) => [id, "superseded"]),
  );
  all.drain();
  expect(all.scheduler.freeBlocks).toEqual([100]);
});

test("a fork of another prompt or salt is refused; of nobody, it is a request like others", () => {
  const scheduler = new Scheduler({ ...CONFIG, prefixCache: true });
  const parent = { id: 1, numPromptTokens: 3, promptIds: [5, 6, 7], maxTokens: 4 };
  scheduler.add(parent, 0);
  const fork = { ...parent, id: 2, forkOf: 1 };
  expect(codeOf(() => scheduler.add({ ...fork, promptIds: [5, 6, 8] }, 0))).toBe("bad_request");
  expect(codeOf(() => scheduler.add({ ...fork, cacheSalt: "s" }, 0))).toBe("bad_request");
  const longer = { ...fork, numPromptTokens: 4, promptIds: [5, 6, 7, 8] };
  expect(codeOf(() => scheduler.add(longer, 0))).toBe("bad_request");
  expect(scheduler.numWaiting).toBe(1);
  scheduler.add(fork, 0);
  scheduler.add({ ...longer, id: 3, forkOf: 77, maxTokens: 1 }, 0);
  expect(scheduler.numWaiting).toBe(3);
});
