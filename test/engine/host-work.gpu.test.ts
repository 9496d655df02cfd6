// What decoding asks of the host in a model of 28 layers: exact counts in the gate, times in the soak.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import { randomShapes } from "../../runtime/model-folder/random-shapes.ts";
import type { WorkPlan } from "../../scheduler/work-plan.ts";
import { type DecodeRig, decodeRig } from "../harness/decode-rig.ts";
import { gpu } from "../harness/gpu.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";

// Counts are the host's and the same on any driver; SwiftShader takes a minute to compile the model.
const once = test.skipIf(project() === "swiftshader");

let device: GpuDevice;
let rig: DecodeRig;
let plans: WorkPlan[] = [];
beforeAll(async () => {
  if (project() === "swiftshader") return;
  device = await openGpuDevice(await gpu());
  rig = await decodeRig(device, {
    config: randomShapes.tiny,
    maxRows: 1,
    onPlan: (plan) => plans.push(plan),
  });
});
afterAll(() => device?.destroy());

once(
  "a token costs one submission, 7 dispatches a layer and 4 outside, and makes nothing",
  async () => {
    const created = countBuffers();
    await rig.decode(1, 12);
    const warm = created();
    const before = { ...device.counters };
    const { hostWaits } = rig.loop;
    plans = [];
    await rig.decode(1, 24);
    const { dispatches, submissions, bindGroups, pipelines } = device.counters;
    const steps = plans.length;
    expect(steps).toBeGreaterThanOrEqual(24);
    expect(dispatches - before.dispatches).toBe(steps * (28 * 7 + 4));
    expect(submissions - before.submissions).toBe(steps);
    expect(bindGroups - before.bindGroups).toBe(0);
    expect(pipelines - before.pipelines).toBe(0);
    expect(created() - warm).toBe(0);
    expect(rig.loop.hostWaits - hostWaits).toBe(0);
  },
);

/** @returns How many GPU buffers were created since, by anybody. */
function countBuffers(): () => number {
  const { createBuffer } = GPUDevice.prototype;
  let count = 0;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    count += 1;
    return createBuffer.call(this, descriptor);
  };
  return () => count;
}

const soaked = scale("host-work", 0, 1) === 1;

// Timed: what else the machine does would fail it, so the gate leaves it out.
test.runIf(soaked && project() === "lavapipe")(
  "host work of a step, beside the same GPU calls made bare",
  async () => {
    const folder = mkdtempSync(join(process.cwd(), ".cache", "host-work-"));
    try {
      const outfile = join(folder, "main.mjs");
      await build({
        entryPoints: [join(import.meta.dirname, "..", "harness", "host-work-main.ts")],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        packages: "external",
      });
      const args = ["--expose-gc", outfile, "1", "12", "300", "17000"];
      const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      expect(stdout, stderr).not.toBe("");
      const work = JSON.parse(stdout);
      report("host-work", work);
      expect(work.ownUsPerDispatch).toBeLessThanOrEqual(1);
      expect(work.heapGrowthPer1000Tokens).toBeLessThan(10_000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
