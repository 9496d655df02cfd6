// Who wins, at what price, and who cannot.

import { expect, test } from "vitest";
import { fastest } from "../../../runtime/tuning/halving.ts";

const named = (us: number[]) => us.map((_, index) => index);

test("the fastest wins, and slow ones are sampled once", async () => {
  const us = [10, 30, 8, 40, 5, 20, 50, 60];
  const counts = us.map(() => 0);
  const found = await fastest(named(us), async (index) => {
    counts[index]! += 1;
    return us[index]! + (counts[index]! % 3) * 0.01;
  });
  expect(found!.winner.candidate).toBe(4);
  expect(found!.winner.us).toBeCloseTo(5, 1);
  expect(found!.standard).toMatchObject({ candidate: 0 });
  for (const slow of [3, 6, 7]) expect(counts[slow]).toBe(1);
  // The standard and the winner: seven each.
  expect([counts[0], counts[4]]).toEqual([7, 7]);
});

test("what is hardly faster than the standard does not replace it", async () => {
  const us = [100, 98, 200];
  const found = await fastest(named(us), async (index) => us[index]);
  expect(found!.winner).toBe(found!.standard);
});

test("samples that something disturbed do not count", async () => {
  let calls = 0;
  const found = await fastest([0, 1], async (index) => {
    calls += 1;
    return calls % 3 === 0 ? 1000 : [10, 5][index];
  });
  expect(found!.winner).toEqual({ candidate: 1, us: 5 });
});

test("without rivals the standard stays; without time nobody wins", async () => {
  expect((await fastest([0], async () => 3))!.winner).toEqual({ candidate: 0, us: 3 });
  let left = 5;
  expect(await fastest([0, 1, 2], async () => (left-- > 0 ? 1 : undefined))).toBeUndefined();
});
