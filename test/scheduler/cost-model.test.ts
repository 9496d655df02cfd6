import { describe, expect, test } from "vitest";
import { LearnedCosts, type PlanWork, rooflineMs } from "../../scheduler/index.ts";

const profile = {
  bytesPerSecond: 100e9,
  flopsPerSecond: 3.6e12,
  overheadMs: 0.5,
  weightBytes: 3.4e9,
  kvBytesPerToken: 114_688,
  flopsPerToken: 3.4e9,
  flopsPerAttended: 229_376,
};

/** One row of `count` tokens after `from` others. */
const row = (from: number, count: number): PlanWork => ({
  numTokens: count,
  numKvTokens: from + count,
  numAttended: (count * (2 * from + count + 1)) / 2,
});

describe("roofline", () => {
  test("decoding is bound by bytes, a long prompt by arithmetic", () => {
    // 3.4 GB of weights and 1,000 tokens of KV at 100 GB/s.
    expect(rooflineMs(profile, row(999, 1))).toBeCloseTo(0.5 + 34 + 1.15, 1);
    // 512 tokens · 3.4 GFLOP and their attention at 3.6 TFLOP/s.
    expect(rooflineMs(profile, row(0, 512))).toBeCloseTo(0.5 + 483.6 + 8.4, 0);
  });
});

describe("what is learnt", () => {
  test("before any plan, the profile is believed", () => {
    expect(new LearnedCosts(profile).predictMs(row(10, 1))).toBe(rooflineMs(profile, row(10, 1)));
  });

  test("the first observation corrects all plans, later ones those like them", () => {
    const costs = new LearnedCosts(profile);
    costs.observe(row(0, 32), rooflineMs(profile, row(0, 32)) / 100);
    for (const work of [row(0, 1), row(0, 512), row(4000, 1)])
      expect(costs.predictMs(work)).toBeCloseTo(rooflineMs(profile, work) / 100, 9);
    costs.observe(row(0, 1), rooflineMs(profile, row(0, 1)) / 10);
    expect(costs.predictMs(row(0, 1))).toBeCloseTo(rooflineMs(profile, row(0, 1)) / 10, 9);
    expect(costs.predictMs(row(0, 2))).toBeCloseTo(rooflineMs(profile, row(0, 2)) / 10, 9);
    expect(costs.predictMs(row(0, 512))).toBeCloseTo(rooflineMs(profile, row(0, 512)) / 100, 9);
  });

  test("a device whose costs have another shape is predicted within a tenth", () => {
    const truth = ({ numTokens, numKvTokens }: PlanWork) =>
      7 + 0.9 * numTokens ** 0.8 + 0.002 * numKvTokens;
    const costs = new LearnedCosts(profile);
    const plans = [1, 2, 5, 16, 40, 100, 300].flatMap((count) =>
      [0, 100, 1000].map((from) => row(from, count)),
    );
    for (let round = 0; round < 10; round++)
      for (const work of plans) costs.observe(work, truth(work));
    for (const work of plans) {
      expect(costs.predictMs(work) / truth(work)).toBeGreaterThan(0.9);
      expect(costs.predictMs(work) / truth(work)).toBeLessThan(1.1);
    }
  });

  test("a slow-down is followed, one outlier hardly", () => {
    const costs = new LearnedCosts(profile);
    for (let i = 0; i < 20; i++) costs.observe(row(100, 1), 10);
    costs.observe(row(100, 1), 30);
    expect(costs.predictMs(row(100, 1))).toBeLessThan(15);
    for (let i = 0; i < 20; i++) costs.observe(row(100, 1), 20);
    expect(costs.predictMs(row(100, 1))).toBeCloseTo(20, 0);
  });
});
