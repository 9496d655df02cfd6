// What the scheduler and a meter learn of the time of plans, from a device that measures and from one
// that does not. The engine suite asks the same of every driver.

import { expect, test, vi } from "vitest";
import { createEngineWith } from "../../runtime/create-engine.ts";
import type { Device } from "../../runtime/device.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { StepMeter } from "../../runtime/step-meter.ts";
import { Scheduler } from "../../scheduler/scheduler.ts";
import { ask } from "./ask.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";

class UntimedDevice extends ReferenceDevice {
  override submit() {
    super.submit();
    return { gpuMs: undefined };
  }
}

async function answerOn(device: Device) {
  const meter = new StepMeter(device);
  const engine = await createEngineWith(nodePlatform, {
    model: shallowFolder(demoFolder(), 1),
    device: meter.device,
    onPlan: meter.onPlan,
    // A step in several submissions is measured in parts, of which the meter sees the last.
    quantumMs: Number.POSITIVE_INFINITY,
  });
  meter.take();
  const commit = vi.spyOn(Scheduler.prototype, "commit");
  const startedMs = performance.now();
  await ask(engine, { prompt: "Once upon a time", maxTokens: 12, ignoreEos: true });
  const wallMs = performance.now() - startedMs;
  const learnt = commit.mock.calls.map(([{ gpuMs }]) => gpuMs);
  commit.mockRestore();
  const measured = meter.take().map(({ submission }) => submission.gpuMs);
  await engine.close();
  return { learnt, measured, wallMs };
}

const sum = (list: readonly number[]): number => list.reduce((total, ms) => total + ms, 0);

test("what the device measures is what the scheduler learns", async () => {
  const { learnt, measured, wallMs } = await answerOn(new ReferenceDevice());
  expect(learnt.length).toBeGreaterThanOrEqual(12);
  expect(measured.slice(0, learnt.length)).toEqual(learnt);
  expect(Math.min(...learnt)).toBeGreaterThan(0);
  expect(sum(learnt)).toBeLessThan(wallMs);
});

test("without a measure the scheduler learns estimates that add up to the time waited", async () => {
  const { learnt, measured, wallMs } = await answerOn(new UntimedDevice());
  expect(new Set(measured)).toEqual(new Set([undefined]));
  expect(learnt.length).toBeGreaterThanOrEqual(12);
  expect(Math.min(...learnt)).toBeGreaterThanOrEqual(0);
  expect(sum(learnt)).toBeGreaterThan(0.3 * wallMs);
  expect(sum(learnt)).toBeLessThan(wallMs);
});
