// When a cluster that fails is left alone, and for how long.

import { expect, test } from "vitest";
import { Circuit } from "../../../runtime/overflow/circuit.ts";
import { retryAfterMs } from "../../../runtime/overflow/cluster-error.ts";

function circuit() {
  const clock = { nowMs: 0 };
  return {
    clock,
    circuit: new Circuit(
      () => clock.nowMs,
      () => 0.5,
    ),
  };
}

test("one failure is forgiven, the next opens it for a second", () => {
  const { clock, circuit: tested } = circuit();
  tested.fail();
  expect(tested.state).toBe("closed");
  tested.fail();
  expect([tested.state, tested.waitMs]).toEqual(["open", 1000]);
  clock.nowMs = 999;
  expect(tested.state).toBe("open");
  clock.nowMs = 1000;
  expect([tested.state, tested.waitMs]).toEqual(["probe", 0]);
});

test("each failure behind a probe doubles the time, to a minute", () => {
  const { clock, circuit: tested } = circuit();
  tested.fail();
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    tested.admit();
    tested.fail();
    waits.push(tested.waitMs);
    clock.nowMs += tested.waitMs;
  }
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
});

test("an answer closes it, and all is forgotten", () => {
  const { circuit: tested } = circuit();
  for (let i = 0; i < 5; i++) tested.fail();
  tested.succeed();
  expect([tested.state, tested.failures]).toEqual(["closed", 0]);
  tested.fail();
  expect(tested.state).toBe("closed");
});

test("a time that the cluster asks for is kept, within reason", () => {
  const { circuit: tested } = circuit();
  tested.fail(30_000);
  expect([tested.state, tested.waitMs]).toEqual(["open", 30_000]);
  tested.succeed();
  tested.fail(1e9);
  expect(tested.waitMs).toBe(600_000);
});

test("clients that failed together do not come back together", () => {
  const waits = [0, 1].map((random) => {
    const tested = new Circuit(
      () => 0,
      () => random,
    );
    tested.fail();
    tested.fail();
    return tested.waitMs;
  });
  expect(waits).toEqual([750, 1250]);
});

test.each([
  ["3", 3000],
  ["0", 0],
  ["-5", 0],
  ["Thu, 01 Jan 1970 00:01:00 GMT", 50_000],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["soon", undefined],
  ["", undefined],
  [null, undefined],
])("Retry-After: %s", (header, ms) => {
  expect(retryAfterMs(header, 10_000)).toBe(ms);
});
