// Which plans are to draft.

import { expect, test } from "vitest";
import { chooseDrafts, expectedSpeedup } from "../../../runtime/calibration/draft-choice.ts";

test("speed is what rounds commit over what they take", () => {
  // One draft at half the price, always taken: two tokens for 0.5 + 1.05.
  const always = { cost: 0.5, agreement: 1 };
  expect(expectedSpeedup(always)).toBeCloseTo(9 / (8 * 0.5 + 1.05), 10);
  expect(expectedSpeedup({ cost: 0.5, agreement: 0 })).toBeCloseTo(1 / 1.55, 10);
});

test("the most promising comes first; far ones are left out, but for the second", () => {
  const good = { cost: 0.5, agreement: 0.95 };
  const near = { cost: 0.55, agreement: 0.95 };
  const far = { cost: 0.95, agreement: 0.99 };
  expect(chooseDrafts([far, near, good])).toEqual([good, near]);
  expect(chooseDrafts([far, good])).toEqual([good, far]);
  expect(chooseDrafts([])).toEqual([]);
});

test("four at most", () => {
  const alike = Array.from({ length: 6 }, (_, i) => ({ cost: 0.5 + 0.001 * i, agreement: 0.9 }));
  expect(chooseDrafts(alike)).toEqual(alike.slice(0, 4));
});
