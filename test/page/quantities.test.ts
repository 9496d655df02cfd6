// Figures as people read them, and how long a download still takes.

import { expect, test } from "vitest";
import { DownloadMeter } from "../../apps/page/download-meter.ts";
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

test("a download's rate is that of the latest seconds", () => {
  const meter = new DownloadMeter(0);
  expect(meter.add(0, 8e6, 0)).toEqual({ loadedBytes: 0, totalBytes: 8e6 });
  expect(meter.add(2e6, 8e6, 1000)).toMatchObject({ bytesPerS: 2e6, leftMs: 3000 });
  // It slows down: what was fast five seconds ago says nothing any more.
  for (let s = 2; s <= 6; s++) meter.add(2e6 + 1e5 * s, 8e6, 1000 * s);
  expect(meter.add(2.7e6, 8e6, 7000)).toMatchObject({ bytesPerS: 1e5, leftMs: 53_000 });
});

test("names of conversations never repeat", () => {
  const taken = new Set<string>();
  for (let i = 0; i < 60; i++) taken.add(nextName(taken));
  expect(taken.size).toBe(60);
  taken.delete("C");
  expect(nextName(taken)).toBe("C");
});
