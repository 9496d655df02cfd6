// Layered against chunked prefill of a mixture of experts, whose weights a chunk reads nearly all of.

import { describe, expect, test } from "vitest";
import { Scheduler } from "../../../scheduler/index.ts";
import { hardwareCosts, streamedBytes } from "../../../scheduler/simulator/hardware.ts";
import {
  type HardwareName,
  hardwareProfiles,
  policies,
  replay,
  type TraceRequest,
} from "../../../scheduler/simulator/index.ts";
import { report, scale } from "../../harness/soak.ts";

const LENGTHS = [900, 2048, 4000, 1300, 3100, 600, 2500];
const PROMPTS = Array.from({ length: scale("layered", 7, 42) }, (_, i) => LENGTHS[i % 7] + i);
const NAMES = ["chunked", "layered", "rectangles"] as const;
type Name = (typeof NAMES)[number];

/** One long answer, and a prompt now and then beside it. */
function workload(everyMs: number): TraceRequest[] {
  const prompts = PROMPTS.map((numPromptTokens, i) => ({
    ...{ arrivalMs: 1000 + i * everyMs, numPromptTokens, outputTokens: 20 },
  }));
  return [{ arrivalMs: 0, numPromptTokens: 32, outputTokens: 700 * PROMPTS.length }, ...prompts];
}

/** Gaps are the long answer's, while a prompt is computed. */
function run(name: Name, hardware: HardwareName, quantumMs: number, everyMs: number) {
  const policy = { ...policies[name], maxRows: 16, quantumMs };
  const profile = hardwareProfiles[hardware];
  const done = replay(workload(everyMs), { hardware: profile, kvTokens: 65_536, policy, seed: 0 });
  const [{ tokenMs }, ...prompts] = done.requests;
  const isDisturbed = (ms: number) =>
    prompts.some(({ arrivalMs, tokenMs: [firstMs] }) => arrivalMs <= ms && ms <= firstMs);
  const gaps = tokenMs.flatMap((ms, i) => (isDisturbed(ms) ? [ms - tokenMs[i - 1]] : []));
  const ttft = prompts.map(({ tokenMs: [firstMs], arrivalMs }) => firstMs - arrivalMs);
  return { ttftP50Ms: quantile(ttft, 0.5), itlP99Ms: quantile(gaps, 0.99) };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

function figures(hardware: HardwareName, quantumMs: number, everyMs: number) {
  const runs = NAMES.map((name) => run(name, hardware, quantumMs, everyMs));
  const [chunked, layered, rectangles] = runs;
  report("layered", { hardware, quantumMs, chunked, layered, rectangles });
  return { chunked, layered, rectangles };
}

describe("experts on the GPU", () => {
  test.each([50, 100, 200, 400])(
    "quantum %i ms: what the planner chooses is within 2 % of the better",
    (quantumMs) => {
      const { chunked, layered, rectangles } = figures("desktop-30b-a3b", quantumMs, 30_000);
      const better = Math.min(chunked.ttftP50Ms, layered.ttftP50Ms);
      expect(rectangles.ttftP50Ms).toBeLessThanOrEqual(1.02 * better);
    },
  );
});

describe("a quarter of the experts on the GPU, the others come from the host", () => {
  test.each([150, 250, 500, 1000])(
    "quantum %i ms: cut by layers, half the time to the first token and no longer gaps",
    (quantumMs) => {
      const profile = "desktop-30b-a3b-streamed";
      const { chunked, layered, rectangles } = figures(profile, quantumMs, 180_000);
      expect(layered.itlP99Ms).toBeLessThanOrEqual(1.02 * chunked.itlP99Ms);
      expect(layered.ttftP50Ms).toBeLessThanOrEqual(0.5 * chunked.ttftP50Ms);
      expect(rectangles.ttftP50Ms).toBeLessThanOrEqual(1.02 * layered.ttftP50Ms);
      expect(rectangles.itlP99Ms).toBeLessThanOrEqual(1.02 * layered.itlP99Ms);
    },
  );

  test("cut by layers, a prompt fetches each expert once; by tokens, with each chunk", () => {
    const shares = NAMES.map((name) => expertReads(name, 4000));
    report("layered", {
      expertReads: Object.fromEntries(NAMES.map((name, i) => [name, shares[i]])),
    });
    const [chunked, layered, rectangles] = shares;
    expect(layered).toBeCloseTo(1, 9);
    expect(rectangles).toBeCloseTo(1, 9);
    expect(chunked).toBeGreaterThan(10);
  });
});

/** Bytes of experts that a lone prompt fetches, over those that it needs at the least. */
function expertReads(name: Name, numPromptTokens: number): number {
  const profile = hardwareProfiles["desktop-30b-a3b-streamed"];
  const { numLayers } = profile.model;
  const scheduler = new Scheduler({
    numLayers,
    kvGroups: [{ kind: "full", numBlocks: 1000 }],
    maxRows: 16,
    maxParkedTokens: 16_384,
    costs: hardwareCosts(profile),
    quantumMs: 250,
    ...policies[name],
  });
  scheduler.add({ id: 1, numPromptTokens, maxTokens: 1 }, 0);
  let bytes = 0;
  for (;;) {
    const plan = scheduler.schedule(0);
    if (plan === "idle") break;
    const [{ tokens, stages, sample }] = plan.rows;
    // Even stages but the first and the last are MLPs.
    const numMlps =
      Math.floor((Math.min(stages.to, 2 * numLayers + 1) - 1) / 2) -
      Math.floor((Math.max(stages.from, 1) - 1) / 2);
    bytes += (numMlps / numLayers) * streamedBytes(profile, tokens.to - tokens.from);
    const sampled = sample ? [{ sequenceId: 1, finished: true }] : [];
    scheduler.commit({ planId: plan.id, gpuMs: plan.predictedMs, sampled }, 0);
  }
  return bytes / streamedBytes(profile, numPromptTokens);
}
