import { expect, test } from "vitest";
import { elapsedMs } from "../../../runtime/gpu/submission-timer.ts";

const times = (begin: bigint, end: bigint) => BigUint64Array.of(begin, end).buffer;

test("nanoseconds become milliseconds, also beyond what a float counts", () => {
  expect(elapsedMs(times(1_000_000n, 3_500_000n))).toBe(2.5);
  expect(elapsedMs(times(2n ** 63n + 1n, 2n ** 63n + 250_001n))).toBe(0.25);
});

test.each([
  ["never written", 0n, 0n],
  ["the begin never written", 0n, 5_000_000n],
  ["the end never written", 5_000_000n, 0n],
  ["backwards", 5_000_000n, 4_000_000n],
  ["rounded to the same", 5_000_000n, 5_000_000n],
])("times that are %s tell nothing", (_, begin, end) => {
  expect(elapsedMs(times(begin, end))).toBeUndefined();
});
