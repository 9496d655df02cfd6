// How the quantum follows pages, and how frames are counted: pure decisions, told by numbers alone.

import { describe, expect, test } from "vitest";
import { FrameMeter } from "../../../runtime/pacing/frame-meter.ts";
import { Pacing } from "../../../runtime/pacing/pacing.ts";
import type { PageState } from "../../../runtime/pacing/page-state.ts";

const smooth: PageState = { visibility: "visible", frames: { count: 15, dropped: 0 } };
const janky: PageState = { visibility: "visible", frames: { count: 15, dropped: 5 } };

describe("the quantum", () => {
  const range = { visibleMs: 8, hiddenMs: 50 };

  test("is short while somebody looks, and long while nobody does", () => {
    const pacing = new Pacing(range);
    const [first, second] = [{}, {}];
    expect(pacing.quantumMs).toBe(8);
    pacing.report(first, { visibility: "hidden" });
    expect(pacing.quantumMs).toBe(50);
    pacing.report(second, { visibility: "visible" });
    expect(pacing.quantumMs).toBe(8);
    pacing.leave(second);
    expect(pacing.quantumMs).toBe(50);
    pacing.leave(first);
    expect(pacing.quantumMs).toBe(8);
  });

  test("is halved while frames drop, down to 2 ms, and grows back", () => {
    const pacing = new Pacing(range);
    const page = {};
    const seen = [janky, janky, janky, smooth].map((state) => {
      pacing.report(page, state);
      return pacing.quantumMs;
    });
    expect(seen).toEqual([4, 2, 2, 2.5]);
    for (let i = 0; i < 10; i++) pacing.report(page, smooth);
    expect(pacing.quantumMs).toBe(8);
    // One frame in thirty is nothing that is noticed.
    pacing.report(page, { visibility: "visible", frames: { count: 29, dropped: 1 } });
    expect(pacing.quantumMs).toBe(8);
  });

  test("that was asked to be unbounded stays so", () => {
    const pacing = new Pacing({ visibleMs: Number.POSITIVE_INFINITY, hiddenMs: 50 });
    pacing.report({}, janky);
    expect(pacing.quantumMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("nothing is computed while all pages are frozen", () => {
    const pacing = new Pacing(range);
    const [first, second] = [{}, {}];
    expect(pacing.isStill).toBe(false);
    pacing.report(first, { visibility: "frozen" });
    expect(pacing.isStill).toBe(true);
    pacing.report(second, { visibility: "hidden" });
    expect(pacing.isStill).toBe(false);
    pacing.leave(second);
    pacing.report(first, { visibility: "visible" });
    expect(pacing.isStill).toBe(false);
  });
});

describe("frames", () => {
  const framesAt = (meter: FrameMeter, intervals: readonly number[], fromMs = 0): number => {
    let nowMs = fromMs;
    meter.frame(nowMs);
    for (const interval of intervals) {
      nowMs += interval;
      meter.frame(nowMs);
    }
    return nowMs;
  };
  const steady = (count: number, ms: number) => new Array<number>(count).fill(ms);

  test("that are missed are counted by the display's own period", () => {
    const meter = new FrameMeter();
    framesAt(meter, [...steady(30, 1000 / 60), 50, 1000 / 60]);
    expect(meter.metrics).toMatchObject({ count: 32, dropped: 2 });
    expect(meter.metrics.intervalMs.p50).toBeCloseTo(1000 / 60, 6);
  });

  test("of a fast display are no drops of a slow one", () => {
    const meter = new FrameMeter();
    const endMs = framesAt(meter, steady(40, 1000 / 120));
    expect(meter.metrics.dropped).toBe(0);
    framesAt(meter, steady(10, 1000 / 60), endMs + 1000 / 120);
    expect(meter.metrics.dropped).toBe(10);
  });

  test("between which nobody counted are no gap", () => {
    const meter = new FrameMeter();
    framesAt(meter, steady(5, 1000 / 60));
    meter.pause();
    framesAt(meter, steady(5, 1000 / 60), 60_000);
    expect(meter.metrics).toMatchObject({ count: 10, dropped: 0 });
  });

  test("are reported once", () => {
    const meter = new FrameMeter();
    const endMs = framesAt(meter, [...steady(25, 1000 / 60), 100]);
    expect(meter.report()).toEqual({ count: 26, dropped: 5 });
    expect(meter.report()).toEqual({ count: 0, dropped: 0 });
    framesAt(meter, steady(2, 1000 / 60), endMs + 1000 / 60);
    expect(meter.report()).toEqual({ count: 3, dropped: 0 });
  });
});
