// Which layer plan drafts: found among four on simulated acceptance, at little cost.

import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../scheduler/random.ts";
import { bestDraftLength } from "../../../scheduler/speculation/draft-length.ts";
import { DraftSets } from "../../../scheduler/speculation/draft-sets.ts";
import { betaDraw } from "../../../scheduler/speculation/draws.ts";
import { acceptedOf } from "./simulated.ts";

const MAX = 8;
const SEEDS = 12;
/** From drafts that are nearly the model, and nearly as slow, to fast ones that are seldom right. */
const PLANS = [
  { acceptance: 0.95, draft: 0.8, verify: 1.15 },
  { acceptance: 0.9, draft: 0.45, verify: 1.15 },
  { acceptance: 0.75, draft: 0.4, verify: 1.15 },
  { acceptance: 0.3, draft: 0.25, verify: 1.15 },
];
const speedups = PLANS.map((plan) => bestDraftLength(plan.acceptance, plan, MAX).speedup);
const BEST = 1;

/** @returns The plan of each round, and what all of them gained. */
function simulate(
  seed: number,
  numRounds: number,
  acceptanceOf = (plan: number, _round: number) => PLANS[plan]!.acceptance,
) {
  const random = seededRandom(1000 + seed);
  const sets = new DraftSets(PLANS, MAX, seededRandom(seed));
  const plans: number[] = [];
  let tokens = 0;
  let time = 0;
  for (let round = 0; round < numRounds; round++) {
    const { set, tokens: drafted } = sets.choose();
    const accepted = acceptedOf(drafted, acceptanceOf(set, round), random);
    sets.observe(set, drafted, accepted);
    plans.push(set);
    tokens += accepted + 1;
    time += drafted * PLANS[set]!.draft + PLANS[set]!.verify;
  }
  return { plans, speedup: tokens / time, sets };
}

test("the plan that is meant to be the best is", () => {
  expect(speedups.indexOf(Math.max(...speedups))).toBe(BEST);
});

describe("of four plans", () => {
  test("the best is found in a few hundred rounds", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const { plans } = simulate(seed, 600);
      const share = plans.slice(300).filter((plan) => plan === BEST).length / 300;
      expect(share, `seed ${seed}`).toBeGreaterThan(0.8);
    }
  });

  test("finding it costs little", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      expect(simulate(seed, 2000).speedup, `seed ${seed}`).toBeGreaterThan(0.95 * speedups[BEST]!);
    }
  });

  test("one that comes to be better is found too", () => {
    // From round 600 on the text is such that the fast plan is nearly always right.
    const changed = (plan: number, round: number) =>
      round < 600 || plan !== 3 ? PLANS[plan]!.acceptance : 0.95;
    for (let seed = 0; seed < SEEDS; seed++) {
      const { plans } = simulate(seed, 2400, changed);
      const share = plans.slice(2000).filter((plan) => plan === 3).length / 400;
      expect(share, `seed ${seed}`).toBeGreaterThan(0.8);
    }
  });
});

test("the same seed chooses the same plans, another seed others", () => {
  expect(simulate(1, 200).plans).toEqual(simulate(1, 200).plans);
  expect(simulate(1, 200).plans).not.toEqual(simulate(2, 200).plans);
});

test("acceptance is known of the plan that is used", () => {
  const { sets } = simulate(5, 1000);
  expect(sets.acceptance(BEST)).toBeCloseTo(PLANS[BEST]!.acceptance, 1);
});

test("draws of a Beta distribution have its mean and variance", () => {
  const random = seededRandom(11);
  for (const [a, b] of [
    [1, 1],
    [4, 1],
    [30, 7],
    [200, 300],
  ] as const) {
    const draws = Array.from({ length: 20_000 }, () => betaDraw(a, b, random));
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
    const trueVariance = (a * b) / ((a + b) ** 2 * (a + b + 1));
    expect(Math.abs(mean - a / (a + b))).toBeLessThan(5 * Math.sqrt(trueVariance / draws.length));
    expect(variance / trueVariance).toBeGreaterThan(0.95);
    expect(variance / trueVariance).toBeLessThan(1.05);
  }
});
