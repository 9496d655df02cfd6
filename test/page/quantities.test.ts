// Figures and names as people read them.

import { expect, test } from "vitest";
import { nextName } from "../../apps/page/labels.ts";
import { bytes, count, duration, figure } from "../../apps/page/quantities.ts";

test("quantities keep three digits at most", () => {
  expect([0, 999, 1000, 3_721_360, 99_960_000, 1.5e9].map(bytes)).toEqual([
    ...["0 B", "999 B", "1.0 kB", "3.7 MB", "100 MB", "1.5 GB"],
  ]);
  expect([0, 0.314, 4.24, 9.96, 41.4, 1240, Number.NaN].map(figure)).toEqual([
    ...["0", "0.31", "4.2", "10", "41", "1,240", "–"],
  ]);
  expect([0.4, 999.4, 1000, 59_900, 61_000, 3_599_600].map(duration)).toEqual([
    ...["0 ms", "999 ms", "1.0 s", "60 s", "1 min 1 s", "60 min 0 s"],
  ]);
  expect([count(1, "story", "stories"), count(2, "plan")]).toEqual(["1 story", "2 plans"]);
});

test("names of conversations never repeat", () => {
  const taken = new Set<string>();
  for (let i = 0; i < 60; i++) taken.add(nextName(taken));
  expect(taken.size).toBe(60);
  taken.delete("C");
  expect(nextName(taken)).toBe("C");
});
