// Which confidence is enough to leave a model early: the bound in closed cases, and how often it is wrong.

import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../kernels/probe.ts";
import {
  type ExitSample,
  exitThreshold,
  upperBound,
} from "../../../runtime/calibration/hoeffding.ts";

describe("the bound", () => {
  test("of no disagreement at all is 1 − δ^(1/n)", () => {
    for (const [total, delta] of [
      [1, 0.05],
      [298, 0.05],
      [10_000, 1e-3],
    ] as const) {
      expect(upperBound(0, total, delta)).toBeCloseTo(1 - delta ** (1 / total), 12);
    }
    expect(upperBound(0, 299, 0.05)).toBeLessThan(0.01);
  });

  test("is 1 where all disagree, and where nothing was seen", () => {
    expect(upperBound(5, 5, 0.05)).toBe(1);
    expect(upperBound(0, 0, 0.05)).toBe(1);
  });

  test("is above the share, and never above Hoeffding's simpler one", () => {
    for (const total of [10, 100, 3000]) {
      for (const share of [0, 0.01, 0.1, 0.5, 0.9]) {
        const count = Math.round(share * total);
        const bound = upperBound(count, total, 0.05);
        expect(bound).toBeGreaterThan(count / total);
        const simple = count / total + Math.sqrt(Math.log(20) / (2 * total));
        expect(bound).toBeLessThanOrEqual(Math.min(1, simple) + 1e-12);
      }
    }
  });

  test("is too low in fewer than δ of the draws", () => {
    const random = seededRandom(3);
    for (const p of [0.01, 0.05, 0.3]) {
      let wrong = 0;
      for (let trial = 0; trial < 1000; trial++) {
        let count = 0;
        for (let i = 0; i < 200; i++) if (random() < p) count++;
        if (upperBound(count, 200, 0.1) < p) wrong++;
      }
      expect(wrong / 1000, `${p}`).toBeLessThan(0.1);
    }
  });
});

/** Confidences as they are: half of the tokens near 1; who is sure is right. */
function draw(count: number, random: () => number): ExitSample[] {
  return Array.from({ length: count }, () => {
    const confidence = 1 - random() ** 4;
    return { confidence, agrees: random() >= disagreementAt(confidence) };
  });
}
const disagreementAt = (confidence: number) => 0.5 * (1 - confidence);
/** Of those at a threshold or above: the mean of 0.5 · u⁴ over u ≤ (1 − threshold)^¼. */
const disagreementFrom = (threshold: number) => (0.5 * (1 - threshold)) / 5;

describe("thresholds", () => {
  const target = { epsilon: 0.01, delta: 0.05 };

  test("keep what they promise, and let many tokens leave", () => {
    const random = seededRandom(5);
    let wrong = 0;
    let exits = 0;
    for (let trial = 0; trial < 100; trial++) {
      const found = exitThreshold(draw(6000, random), target);
      if (!found) continue;
      if (disagreementFrom(found.threshold) > target.epsilon) wrong++;
      exits += found.numExits / 6000;
    }
    expect(wrong / 100).toBeLessThanOrEqual(target.delta);
    // With the true shares, 0.9 were enough, and 56 % of the tokens would leave.
    expect(exits / 100).toBeGreaterThan(0.3);
  });

  test("are the least: a laxer target gives a lower one", () => {
    const samples = draw(6000, seededRandom(6));
    const strict = exitThreshold(samples, target)!;
    const lax = exitThreshold(samples, { ...target, epsilon: 0.05 })!;
    expect(lax.threshold).toBeLessThan(strict.threshold);
    expect(lax.numExits).toBeGreaterThan(strict.numExits);
  });

  test("are 0 where every token agrees, of tokens enough", () => {
    const sure = Array.from({ length: 700 }, () => ({ confidence: 0.1, agrees: true }));
    expect(exitThreshold(sure, target)).toMatchObject({
      threshold: 0,
      numExits: 700,
      numDisagreeing: 0,
    });
  });

  test("are not given where too little was seen, nor where confidence says nothing", () => {
    const few = Array.from({ length: 100 }, () => ({ confidence: 0.9, agrees: true }));
    expect(exitThreshold(few, target)).toBeUndefined();
    expect(exitThreshold([], target)).toBeUndefined();
    const unlike = Array.from({ length: 3000 }, (_, i) => ({
      confidence: (i % 100) / 100,
      agrees: i % 10 > 0,
    }));
    expect(exitThreshold(unlike, target)).toBeUndefined();
  });
});
