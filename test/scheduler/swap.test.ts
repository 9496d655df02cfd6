// Blocks of those taken back wait on the host: when that pays, what is copied, and when it comes back.

import { expect, test } from "vitest";
import type { BlockSwap, PlanWork, SchedulerConfig, WorkPlan } from "../../scheduler/index.ts";
import { request, spell } from "./plans.ts";
import { Serving } from "./serving.ts";

const cheapCopies = {
  predictMs: ({ numTokens }: PlanWork) => 10 + numTokens,
  copyMs: (numTokens: number) => 0.1 * numTokens,
};
const CONFIG: SchedulerConfig = {
  ...{ numLayers: 2, kvGroups: [{ kind: "full", numBlocks: 12 }], blockTokens: 16, maxRows: 2 },
  ...{ admission: "optimistic", costs: cheapCopies, maxHostBlocks: 100, prefixCache: false },
};
const background = { priority: "background", maxTokens: 40 } as const;

const indices = (swaps: readonly BlockSwap[]): string =>
  swaps.map(({ sequenceId, index }) => `${sequenceId}/${index}`).join(" ");

/** A background request with 100 tokens in seven blocks, and an urgent one that needs its place. */
function takenBack(config: SchedulerConfig = CONFIG): { serving: Serving; plan: WorkPlan } {
  const serving = new Serving(config);
  serving.add(request(1, 100, background));
  serving.schedule();
  serving.add(request(2, 90, { maxTokens: 20 }));
  serving.commit();
  return { serving, plan: serving.schedule() as WorkPlan };
}

const swapsIn = (serving: Serving) => serving.plans.filter(({ swapIn }) => swapIn.length > 0);

test("its blocks go out before the plan's rows, and come back where it goes on", () => {
  const { serving, plan } = takenBack();
  expect(spell(plan)).toBe("-1 2:0-90*");
  expect(indices(plan.swapOut)).toBe("1/0 1/1 1/2 1/3 1/4 1/5 1/6");
  serving.drain();
  const [back] = swapsIn(serving);
  expect(indices(back.swapIn)).toBe(indices(plan.swapOut));
  expect(spell(back)).toContain("1:100-101*");
  const computed = serving.plans.flatMap(({ rows }) => rows.filter((row) => row.sequenceId === 1));
  const numTokens = computed.reduce((sum, { tokens }) => sum + tokens.to - tokens.from, 0);
  expect(numTokens).toBe(100 + 40 - 1);
});

test("nobody begins again before its blocks have arrived", () => {
  const { serving } = takenBack();
  serving.abort(2);
  expect(serving.schedule()).toBe("idle");
  serving.commit();
  expect(spell(serving.schedule())).toBe("1:100-101*");
});

test("the second time only what the host does not have goes out", () => {
  const { serving } = takenBack();
  const step = () => {
    serving.schedule();
    serving.commit();
  };
  while (serving.progress.get(2)!.state === "live") step();
  for (let i = 0; i < 20; i++) step();
  serving.add(request(3, 90, { maxTokens: 4 }));
  serving.drain();
  const outs = serving.plans.filter(({ swapOut }) => swapOut.length > 0);
  expect(outs.map(({ swapOut }) => indices(swapOut))).toEqual([
    "1/0 1/1 1/2 1/3 1/4 1/5 1/6",
    // 100 tokens were there: the seventh block has grown since.
    "1/6 1/7",
  ]);
  expect(indices(swapsIn(serving)[1].swapIn)).toBe("1/0 1/1 1/2 1/3 1/4 1/5 1/6 1/7");
});

test.each([
  ["copying takes longer", { costs: { ...cheapCopies, copyMs: (n: number) => n } }],
  ["the cost model knows no copies", { costs: { predictMs: cheapCopies.predictMs } }],
  ["the host has no room", { maxHostBlocks: 6 }],
  ["the host keeps nothing, the default", { maxHostBlocks: undefined }],
])("it computes its tokens again where %s", (_, change) => {
  const { serving, plan } = takenBack({ ...CONFIG, ...change });
  expect(plan.swapOut).toEqual([]);
  serving.drain();
  expect(swapsIn(serving)).toEqual([]);
  expect(serving.ids(1)).toHaveLength(40);
});

test("what the prefix cache still has does not come from the host", () => {
  const { serving } = takenBack({ ...CONFIG, prefixCache: true });
  serving.abort(2);
  serving.commit();
  serving.drain();
  const [back] = swapsIn(serving);
  expect(back.swapIn.length).toBeLessThan(7);
  expect(spell(back)).toContain("1:100-101*");
});

test("of a window group only the blocks go that a query still sees", () => {
  const kvGroups = [
    { kind: "full" as const, numBlocks: 12 },
    { kind: "window" as const, window: 20, numBlocks: 12 },
  ];
  const serving = new Serving({ ...CONFIG, kvGroups, maxTokensPerPlan: 32 });
  serving.add(request(1, 100, background));
  for (let i = 0; i < 4; i++) {
    serving.schedule();
    serving.commit();
  }
  serving.add(request(2, 90, { maxTokens: 20 }));
  const { swapOut } = serving.schedule() as WorkPlan;
  const ofGroup = (group: number) => indices(swapOut.filter((swap) => swap.group === group));
  expect(ofGroup(0)).toBe("1/0 1/1 1/2 1/3 1/4 1/5 1/6");
  // The last row began at token 96, which sees those from 77 on.
  expect(ofGroup(1)).toBe("1/4 1/5 1/6");
  serving.drain();
  // Where it goes on, at token 100, those from 81 on are seen.
  expect(indices(swapsIn(serving)[0].swapIn.filter(({ group }) => group === 1))).toBe("1/5 1/6");
  expect(serving.ids(1)).toHaveLength(40);
});
