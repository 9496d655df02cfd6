// `weft bench decode` on a GPU: what a step costs does not depend on how many requests share it.

import { join } from "node:path";
import { expect, test } from "vitest";
import { project } from "../harness/project.ts";
import { GOLDENS, tinyModel } from "./tiny-model.ts";
import { weftJson } from "./weft.ts";

const MODEL = tinyModel({}, join(GOLDENS, "llama", "f32"));

// Counts are the host's and the same on any driver; SwiftShader takes 100 s to compile the model.
const once = test.skipIf(project() === "swiftshader");

once(
  "a step has the same dispatches for 1, 4 and 16 requests, six per layer without QK-norm (not on SwiftShader: 100 s to compile)",
  async () => {
    const { adapter, device, invariant, probes, runs } = await weftJson([
      ...["bench", "decode", "--model", MODEL, "--device", "gpu", "--concurrency", "1,4,16"],
      ...["--prompt-tokens", "8", "--gen-tokens", "12"],
    ]);
    expect(device).toBe("gpu");
    expect(invariant).toBe(true);
    for (const figure of Object.values(probes)) expect(figure).toBeGreaterThanOrEqual(0);
    expect(adapter).toMatch(/llvmpipe|SwiftShader/);
    for (const { concurrency, ...run } of runs) {
      expect(run.dispatchesPerLayer).toBe(6);
      expect(run.dispatchesPerStep).toBe(runs[0].dispatchesPerStep);
      expect(run.submissionsPerToken).toBeCloseTo(1 / concurrency, 10);
      // The mean of each step's longer side: one step may wait for the host, the next for the GPU.
      const [less, more] = [run.predictedGpuMs, run.predictedHostMs].sort((a, b) => a - b);
      expect(run.predictedMs).toBeGreaterThanOrEqual(more * (1 - 1e-9));
      expect(run.predictedMs).toBeLessThanOrEqual(less + more);
      expect(run.ofPredictionPct).toBeCloseTo((100 * run.predictedMs) / run.stepMs, 6);
      expect(run.ofBandwidthPct).toBeGreaterThan(0);
    }
  },
  120_000,
);
