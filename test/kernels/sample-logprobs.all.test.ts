// Logprobs against a log-softmax in float64, at both vocabularies, with ties and settings that must
// not matter.

import { afterAll, beforeAll, expect, test } from "vitest";
import { normal, seededRandom } from "../../kernels/probe.ts";
import { NO_TOKEN } from "../../kernels/sample-logprobs.ts";
import { packBias } from "../../kernels/sample-scores.ts";
import { PLAIN } from "../../kernels/sample-settings.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice } from "../harness/device.ts";
import { SampleStep } from "./sample-step.ts";

const WANTED = [20, 0, 1, 7, null];

let device: Device;
beforeAll(async () => {
  device = await openDevice("baseline");
});
afterAll(() => device.destroy());

test.each([
  [1024, "flat", 0.3],
  [1024, "peaked", 4],
  [1024, "many equal", 0],
  [151_936, "peaked", 4],
  [151_936, "many equal", 0],
])("vocabulary %i, %s", async (V, _, spread) => {
  const R = WANTED.length;
  const step = await SampleStep.create(device, R, V);
  const random = seededRandom(V);
  const logits = spread > 0 ? normal(R * V, random, spread) : normal(R * V, random).map(Math.round);
  step.write("logits", logits);
  step.write("bias", packBias([[3, 50]]));
  // Bias and temperature move the sample, not the logprobs.
  const settings = { ...PLAIN, temperature: 2, biasCount: 1 };
  const picks = await step.sample(WANTED.map((topLogprobs) => ({ ...settings, topLogprobs })));
  const ids = await step.read("top_ids");
  const logprobs = await step.readFloats("top_logprobs");
  for (const [r, wanted] of WANTED.entries()) {
    const row = logits.subarray(r * V, (r + 1) * V);
    const top = row.reduce((a, b) => Math.max(a, b));
    const logSum = top + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
    const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]! || a - b);
    const expected = wanted === null ? [] : [picks[r]!.id, ...order.slice(0, wanted)];
    for (let e = 0; e < 21; e++) {
      const [id, logprob] = [ids[21 * r + e]!, logprobs[21 * r + e]!];
      if (e >= expected.length) {
        expect([id, logprob]).toEqual([NO_TOKEN, 0]);
        continue;
      }
      expect(id, `row ${r}, entry ${e}`).toBe(expected[e]);
      expect(Math.abs(logprob - (row[id]! - logSum))).toBeLessThan(3e-6);
    }
  }
  step.destroy();
});
