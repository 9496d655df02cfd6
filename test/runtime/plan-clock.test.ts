import { expect, test } from "vitest";
import { PlanClock } from "../../runtime/plan-clock.ts";

const measured = 3;
const unknown = undefined;

test("what the device measured is taken as it is", () => {
  const clock = new PlanClock();
  expect(clock.gpuMs(measured, 0, 100)).toBe(3);
  expect(clock.gpuMs(measured, 50, 101)).toBe(3);
});

test("a plan on an idle device has run since it was submitted", () => {
  const clock = new PlanClock();
  expect(clock.gpuMs(unknown, 10, 14)).toBe(4);
  expect(clock.gpuMs(unknown, 20, 26)).toBe(6);
});

test("plans submitted ahead have run since the one before was done", () => {
  const clock = new PlanClock();
  const submitted = [0, 1, 2, 3];
  const done = [10, 20, 20, 35];
  const estimates = submitted.map((ms, i) => clock.gpuMs(unknown, ms, done[i]));
  expect(estimates).toEqual([10, 10, 0, 15]);
});

test("a plan after measured ones is not charged with their time", () => {
  const clock = new PlanClock();
  clock.gpuMs(measured, 0, 30);
  expect(clock.gpuMs(unknown, 1, 32)).toBe(2);
});

test("a clock that is set back gives nothing below zero", () => {
  const clock = new PlanClock();
  clock.gpuMs(unknown, 100, 110);
  expect(clock.gpuMs(unknown, 111, 50)).toBe(0);
  expect(clock.gpuMs(unknown, 51, 53)).toBe(2);
});
