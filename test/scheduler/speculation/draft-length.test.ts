// How long rounds of drafts are: against the formula written out, and on simulated acceptance.

import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../scheduler/random.ts";
import { bestDraftLength, DraftLength } from "../../../scheduler/speculation/draft-length.ts";
import { acceptedOf } from "./simulated.ts";

/** The formula, which divides by nothing only below certainty. */
const speedup = (a: number, g: number, draft: number, verify: number) =>
  (1 - a ** (g + 1)) / (1 - a) / (g * draft + verify);

describe("the best length", () => {
  test("is that of the greatest speedup by the formula", () => {
    for (const acceptance of [0, 0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99]) {
      for (const draft of [0.05, 0.2, 0.45, 0.6, 1]) {
        for (const verify of [1, 1.15, 1.5]) {
          const all = Array.from({ length: 12 }, (_, i) =>
            speedup(acceptance, i + 1, draft, verify),
          );
          const best = bestDraftLength(acceptance, { draft, verify }, 12);
          const label = `${acceptance} ${draft} ${verify}`;
          expect(best.tokens, label).toBe(1 + all.indexOf(Math.max(...all)));
          expect(best.speedup, label).toBeCloseTo(Math.max(...all), 12);
        }
      }
    }
  });

  test("by hand", () => {
    expect(bestDraftLength(0.8, { draft: 0.6, verify: 1 }, 8).tokens).toBe(1);
    expect(bestDraftLength(0.9, { draft: 0.3, verify: 1.2 }, 16).tokens).toBe(6);
    expect(bestDraftLength(0.95, { draft: 0.45, verify: 1.25 }, 16).tokens).toBe(7);
  });

  test("is all of them where every draft is taken, one where none is", () => {
    expect(bestDraftLength(1, { draft: 0.5, verify: 1 }, 9)).toEqual({
      tokens: 9,
      speedup: 10 / 5.5,
    });
    expect(bestDraftLength(0, { draft: 0.5, verify: 1 }, 9)).toEqual({
      tokens: 1,
      speedup: 1 / 1.5,
    });
  });
});

describe("as acceptance is learnt", () => {
  const costs = { draft: 0.3, verify: 1.15 };
  const MAX = 12;

  test("begins where four of five drafts are taken", () => {
    expect(new DraftLength(costs, MAX).tokens).toBe(bestDraftLength(0.8, costs, MAX).tokens);
  });

  test.each([0.3, 0.6, 0.95])("comes to the best at %d and stays near it", (acceptance) => {
    const random = seededRandom(3);
    const length = new DraftLength(costs, MAX);
    const { speedup: best } = bestDraftLength(acceptance, costs, MAX);
    let tokens = 0;
    let time = 0;
    for (let round = 0; round < 400; round++) {
      const drafted = length.tokens;
      const accepted = acceptedOf(drafted, acceptance, random);
      length.observe(drafted, accepted);
      if (round < 30) continue;
      tokens += accepted + 1;
      time += drafted * costs.draft + costs.verify;
    }
    expect(Math.abs(length.acceptance - acceptance)).toBeLessThan(0.12);
    expect(tokens / time).toBeGreaterThan(0.95 * best);
  });

  test("no single round moves it by more than one", () => {
    const length = new DraftLength(costs, MAX);
    for (let i = 0; i < 100; i++) length.observe(length.tokens, length.tokens);
    const before = length.tokens;
    length.observe(before, 0);
    expect(before - length.tokens).toBeLessThanOrEqual(1);
  });

  test("follows costs that are measured anew", () => {
    const length = new DraftLength(costs, MAX);
    const before = length.tokens;
    length.costs = { draft: 0.05, verify: 1.15 };
    expect(length.tokens).toBeGreaterThan(before);
  });
});
