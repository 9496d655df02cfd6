import { expect } from "vitest";

/** Bit for bit. Without a list of what differs, which could be thousands of numbers long. */
export function expectSame(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  expect(actual.filter((value, i) => !Object.is(value, expected[i])).length).toBe(0);
}
