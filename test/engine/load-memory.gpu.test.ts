// Host memory while models load: below 256 MiB beyond headers, whatever the size of a tensor. In soak
// the largest stacks of experts that people run, a layer or two of them.

import { expect, test } from "vitest";
import { loadModel, type ModelPlan } from "../../runtime/load-model.ts";
import { openModelFolder } from "../../runtime/model-folder/open-folder.ts";
import { openDevice } from "../harness/device.ts";
import { report, scale } from "../harness/soak.ts";

const MiB = 2 ** 20;
const LIMIT = 256 * MiB;
/** One expert stack of Qwen3-30B-A3B has 768 MiB in f16, of gpt-oss-20b 253 MiB in MXFP4. */
const models =
  scale("load-memory", 0, 1) === 1
    ? ["random:qwen3-30b-a3b@1", "random:gpt-oss-20b@2"]
    : ["random:tiny"];

const bufferBytes = ({ weightBytes, activationBytes, kv }: ModelPlan): number =>
  weightBytes + activationBytes + kv.totalBytes;

test.each(models)(
  "%s",
  async (model) => {
    const device = await openDevice();
    const before = process.memoryUsage();
    let peak = 0;
    let peakRss = 0;
    const watch = () => {
      const { arrayBuffers, rss } = process.memoryUsage();
      peak = Math.max(peak, arrayBuffers - before.arrayBuffers);
      peakRss = Math.max(peakRss, rss - before.rss);
    };
    const { plan } = await loadModel(device, openModelFolder(model), {
      maxRows: 1,
      onProgress: watch,
    });
    watch();
    const figures = {
      model,
      weightBytes: plan.weightBytes,
      kvBytes: plan.kv.totalBytes,
      arrayBufferMiB: Math.round(peak / MiB),
      // Software drivers keep the GPU's buffers in the process.
      processLessBuffersMiB: Math.round((peakRss - bufferBytes(plan)) / MiB),
    };
    report("load-memory", figures);
    expect(peak, JSON.stringify(figures)).toBeLessThan(LIMIT);
    expect(peakRss - bufferBytes(plan), JSON.stringify(figures)).toBeLessThan(LIMIT);
    device.destroy();
  },
  1_800_000,
);
