import { expect, test } from "vitest";
import { Latest } from "../../runtime/latest.ts";

test("keeps so many, and forgets the one that was asked for longest ago", () => {
  const latest = new Latest<number>(3);
  let numMade = 0;
  const take = (name: string) => latest.take(name, () => ++numMade);
  expect(["a", "b", "c", "a", "d"].map(take)).toEqual([1, 2, 3, 1, 4]);
  expect(latest.size).toBe(3);
  expect(take("a")).toBe(1);
  expect(take("b")).toBe(5);
});
