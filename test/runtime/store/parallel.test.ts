import { expect, test } from "vitest";
import { inParallel } from "../../../runtime/store/parallel.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("some items at a time, in order, and all of them", async () => {
  const began: number[] = [];
  let underWay = 0;
  let most = 0;
  await inParallel([1, 2, 3, 4, 5, 6, 7], 3, undefined, async (item) => {
    began.push(item);
    most = Math.max(most, ++underWay);
    await pause(8 - item);
    underWay--;
  });
  expect(began).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(most).toBe(3);
});

test("a failure aborts the others, and is told when they have ended", async () => {
  const ended: number[] = [];
  const run = inParallel([1, 2, 3, 4], 2, undefined, async (item, signal) => {
    if (item === 1) throw new Error("the first");
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    await pause(5);
    ended.push(item);
    throw new Error("a consequence");
  });
  await expect(run).rejects.toThrow("the first");
  expect(ended).toEqual([2]);
});
