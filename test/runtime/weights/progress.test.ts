import { expect, test } from "vitest";
import { type LoadProgress, ProgressMeter } from "../../../runtime/weights/progress.ts";

function metered(totalBytes: number, loadedBytes = 0, intervalMs = 0) {
  const steps: LoadProgress[] = [];
  const clock = { ms: 1000 };
  const meter = new ProgressMeter(totalBytes, (step) => void steps.push(step), {
    ...{ phase: "download", loadedBytes, intervalMs },
    now: () => clock.ms,
  });
  return { steps, clock, meter };
}

test("the rate is of what came since, and tells what is left", () => {
  const { steps, clock, meter } = metered(10_000, 4_000);
  for (let i = 0; i < 10; i++) {
    clock.ms += 100;
    meter.add(100, "f");
  }
  const last = steps.at(-1)!;
  expect(last).toMatchObject({
    phase: "download",
    loadedBytes: 5_000,
    totalBytes: 10_000,
    file: "f",
  });
  expect(last.bytesPerSecond).toBeCloseTo(1000, 6);
  expect(last.secondsLeft).toBeCloseTo(5, 6);
  expect(steps[0]).toMatchObject({ bytesPerSecond: 0, secondsLeft: undefined });
});

test("it follows a change in seconds, not at once", () => {
  const { steps, clock, meter } = metered(1e9);
  const run = (seconds: number, bytesPerSecond: number) => {
    for (let i = 0; i < 4 * seconds; i++) {
      clock.ms += 250;
      meter.add(bytesPerSecond / 4, "f");
    }
    return steps.at(-1)!.bytesPerSecond;
  };
  expect(run(10, 1000)).toBeCloseTo(1000, 6);
  const soon = run(0.25, 3000);
  expect(soon).toBeGreaterThan(1000);
  expect(soon).toBeLessThan(1400);
  expect(run(15, 3000)).toBeGreaterThan(2900);
  // What has to come again is no negative rate.
  clock.ms += 250;
  meter.add(-5000, "f");
  expect(steps.at(-1)!.bytesPerSecond).toBeGreaterThan(2500);
});

test("reports keep their distance, but for the last", () => {
  const { steps, clock, meter } = metered(100, 0, 50);
  for (let i = 0; i < 100; i++) {
    clock.ms += 1;
    meter.add(1, "f");
  }
  expect(steps).toHaveLength(3);
  expect(steps.at(-1)!.loadedBytes).toBe(100);
});
