// Tokens that take turns: which run less, where they lie, what they hold, and what they share.

import { describe, expect, test } from "vitest";
import { AlternatingTokens } from "../../scheduler/alternating-tokens.ts";
import { Scheduler, type SchedulerConfig } from "../../scheduler/index.ts";
import { expectedIds } from "./fake-device.ts";
import { alternationOf, planOf } from "./layer-plans.ts";
import { codeOf, request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

const full = { kind: "full", numBlocks: 1 + 20 } as const;
const CONFIG: SchedulerConfig = {
  ...{ numLayers: 2, kvGroups: [full, full], blockTokens: 16, prefixCache: true },
};
/** Without the second layer. */
const turns = (period: number, filled = 0) =>
  alternationOf(CONFIG.kvGroups, { left: 0b1100, filled, period });

test("the first token behind the prompt runs all, and so does one in every period", () => {
  const tokens = new AlternatingTokens(5, turns(3));
  const less = Array.from({ length: 13 }, (_, token) => (tokens.runsLess(token) ? "-" : "x"));
  expect(less.join("")).toBe("xxxxxx--x--x-");
  for (let token = 0, end: number; token < 13; token = end) {
    end = tokens.endOfRun(token);
    const alike = less.slice(token, Math.min(13, end));
    expect(new Set(alike).size).toBe(1);
    expect(less[end] ?? "").not.toBe(alike[0]);
  }
});

test("a place counts the tokens before that keep something", () => {
  const tokens = new AlternatingTokens(5, turns(3));
  let kept = 0;
  for (let token = 0; token < 60; token++) {
    expect(tokens.place(0, token)).toBe(token);
    expect(tokens.place(1, token)).toBe(kept);
    kept += tokens.runsLess(token) ? 0 : 1;
    // As many places as it takes, and not one more.
    expect(tokens.lastToken(1, tokens.place(1, token))).toBeGreaterThanOrEqual(token);
    expect(tokens.place(1, tokens.lastToken(1, kept))).toBe(kept);
    expect(tokens.place(1, tokens.lastToken(1, kept) + 1)).toBe(kept + 1);
  }
});

describe("tokens that may leave off", () => {
  const { layerPlan } = alternationOf(CONFIG.kvGroups, { left: 0, period: 2 });
  const exits = { stages: [3], layers: [1], thresholds: [0.9], together: false };
  const alternation = { layerPlan: { ...layerPlan, exits }, period: Number.POSITIVE_INFINITY };

  test("are all behind the first of an answer, and computed again one by one", () => {
    const serving = new Serving({ ...CONFIG, forcePreemptionEvery: 7 });
    serving.add(request(0, 20, { maxTokens: 20 }));
    serving.add(request(1, 5, { alternation, maxTokens: 20 }));
    serving.drain();
    expect(serving.progress.get(1)!.numPreemptions).toBeGreaterThan(0);
    const rows = serving.plans.flatMap((plan) => plan.rows.filter((row) => row.sequenceId === 1));
    for (const { tokens, layerPlan: runs } of rows) {
      expect(runs === alternation.layerPlan).toBe(tokens.from > 5);
      if (tokens.from > 5) expect(tokens.to).toBe(tokens.from + 1);
    }
  });

  test("are charged for what they ran", () => {
    const numFinished = (executed: number) => {
      const scheduler = new Scheduler({ ...CONFIG, maxRows: 1, maxRunAhead: 1 });
      const finished = { a: 0, b: 0 };
      for (let id = 0; id < 80; id++) {
        const client = id % 2 === 0 ? "a" : "b";
        scheduler.add({ id, numPromptTokens: 1, client, maxTokens: 30 }, 0);
      }
      for (let nowMs = 0; nowMs < 900; nowMs++) {
        const plan = scheduler.schedule(nowMs);
        if (plan === "idle") break;
        const [{ sequenceId }] = plan.rows;
        const isFirst = sequenceId % 2 === 0;
        const sampled = [{ sequenceId, finished: false, ...(isFirst && { executed }) }];
        const events = scheduler.commit({ planId: plan.id, gpuMs: 1, sampled }, nowMs);
        for (const event of events) finished[event.sequenceId % 2 === 0 ? "a" : "b"] += 1;
      }
      return finished.a / finished.b;
    };
    expect(numFinished(1)).toBeCloseTo(1, 0);
    expect(numFinished(0.5)).toBeCloseTo(2, 0);
  });
});

describe("a request that takes turns", () => {
  const maxTokens = 97;

  test("holds less of what it leaves out", () => {
    const held = (alternation = turns(4)) => {
      const serving = new Serving(CONFIG);
      serving.add(request(1, 16, { alternation, maxTokens }));
      serving.drain();
      expect(serving.ids(1)).toEqual(
        expectedIds(serving.progress.get(1)!.request, CONFIG.kvGroups),
      );
      return serving.plans.at(-1)!.rows[0].blockTables.map((table) => table.length);
    };
    // 16 tokens, then 96, or one in four of them.
    expect(held()).toEqual([7, 3]);
    expect(held(turns(4, 0b10))).toEqual([7, 7]);
  });

  test("may be longer where it holds less", () => {
    const kvGroups = [full, { kind: "full", numBlocks: 1 + 3 } as const];
    const serving = new Serving({ ...CONFIG, kvGroups });
    const asked = request(1, 16, { maxTokens });
    expect(codeOf(() => serving.add(asked))).toBe("request_too_long");
    expect(codeOf(() => serving.add({ ...asked, alternation: turns(2) }))).toBe("request_too_long");
    serving.add({ ...asked, id: 2, alternation: turns(4) });
    serving.drain();
    expect(serving.ids(2)).toHaveLength(maxTokens);
  });

  test("shares its prompt with everybody, and what follows with nobody", () => {
    const serving = new Serving(CONFIG);
    const { promptTokens } = request(1, 33);
    serving.add({ ...request(1, 33, { maxTokens: 40 }), promptTokens });
    serving.drain();
    serving.add({ ...request(2, 33, { maxTokens: 40, alternation: turns(2) }), promptTokens });
    expect(spell(serving.schedule())).toBe("2:32-33*");
    serving.drain();
    const answer = [...promptTokens, ...serving.ids(2)].slice(0, 64);
    const plain = [...promptTokens, ...serving.ids(1)].slice(0, 64);
    serving.add({ ...request(3, 64), promptTokens: answer });
    expect(spell(serving.schedule())).toMatch(/^3:32-/);
    serving.drain();
    // Of a prompt that another has answered, it takes what that one has computed.
    serving.add({ ...request(4, 64, { alternation: turns(2) }), promptTokens: plain });
    expect(spell(serving.schedule())).toMatch(/^4:48-/);
  });

  test("computes again by the same turns, and swaps what it holds", () => {
    const costs = { predictMs: () => 1, copyMs: () => 0.1 };
    const alternation = turns(3);
    for (const maxHostBlocks of [0, 100]) {
      const serving = new Serving({
        ...{ ...CONFIG, costs, maxHostBlocks, forcePreemptionEvery: 5 },
      });
      // The first always goes on.
      serving.add(request(0, 20, { maxTokens: 60 }));
      serving.add(request(1, 20, { alternation, maxTokens: 60 }));
      serving.drain();
      const { numPreemptions, numSwapIns, request: asked } = serving.progress.get(1)!;
      expect(numPreemptions).toBeGreaterThan(3);
      expect(numSwapIns > 0).toBe(maxHostBlocks > 0);
      expect(serving.ids(1)).toEqual(expectedIds(asked, CONFIG.kvGroups));
    }
  });

  test("is charged for what it runs", () => {
    const numStarted = (alternation = turns(2)) => {
      const serving = new Serving({ ...CONFIG, maxRows: 1, maxRunAhead: 1 });
      // Two clients in turn: who pays less, starts more often.
      for (let i = 0; i < 40; i++) {
        serving.add(request(2 * i, 4, { client: "a", maxTokens: 30, alternation }));
        serving.add(request(2 * i + 1, 4, { client: "b", maxTokens: 30 }));
      }
      for (let plan = 0; plan < 900; plan++) {
        serving.schedule();
        serving.commit();
      }
      const ended = (client: string) =>
        [...serving.progress.values()].filter(
          ({ request: asked, state }) => asked.client === client && state === "finished",
        ).length;
      return ended("a") / ended("b");
    };
    // Half of its tokens without an MLP and an attention of four sublayers.
    expect(numStarted(turns(1000))).toBeGreaterThan(numStarted(turns(2)));
    expect(numStarted(turns(2))).toBeCloseTo(4 / 3, 0);
  });

  test.each([
    [1, /period 1.*from 2 on/],
    [2.5, /period 2.5.*from 2 on/],
  ])("is refused with a period of %d", (period, message) => {
    const serving = new Serving(CONFIG);
    const asked = request(1, 4, { alternation: turns(period) });
    expect(() => serving.add(asked)).toThrow(message);
  });

  test("is refused where holes would change what a window sees", () => {
    const kvGroups = [full, { kind: "window", window: 20, numBlocks: 9 } as const];
    const layerPlan = planOf(2, 0b100);
    const serving = new Serving({ ...CONFIG, kvGroups });
    expect(() => serving.add(request(1, 4, { alternation: { layerPlan, period: 2 } }))).toThrow(
      /KV group 1, whose window counts tokens: let them keep it/,
    );
    serving.add(
      request(2, 60, { alternation: alternationOf(kvGroups, { left: 0b100, period: 2 }) }),
    );
    serving.drain();
    expect(serving.ids(2)).toHaveLength(8);
  });
});
