// `weft bench decode` on the reference device: the fields, and counts that follow from the graph.

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { costPerToken, decodeSteps } from "../../apps/cli/bench-decode.ts";
import type { MeteredStep } from "../../node.ts";
import { GOLDENS, tinyModel } from "./tiny-model.ts";
import { weftJson } from "./weft.ts";

const BENCH = ["bench", "decode", "--model", tinyModel(), "--device", "reference"];

test("gives every field for each number of requests", async () => {
  const { adapter, device, runs } = await weftJson([
    ...[...BENCH, "--concurrency", "1,3", "--prompt-tokens", "4", "--gen-tokens", "12"],
  ]);
  expect(adapter).toContain("reference");
  expect(device).toBe("reference");
  expect(runs).toHaveLength(2);
  for (const [index, concurrency] of [1, 3].entries()) {
    const run = runs[index];
    expect(run).toMatchObject({ concurrency, promptTokens: 4, genTokens: 12 });
    // QKV, QK-norm with RoPE and cache, attention in two, out; gate and up, down. Norms are fused.
    expect(run.dispatchesPerLayer).toBe(7);
    // Besides 2 layers: embedding, gather, LM head, argmax.
    expect(run.dispatchesPerStep).toBe(2 * 7 + 4);
    expect(run.dispatchesPerToken).toBeCloseTo((2 * 7 + 4) / concurrency, 10);
    expect(run.submissionsPerToken).toBeCloseTo(1 / concurrency, 10);
    expect(run.aggregateTokPerS).toBeCloseTo(concurrency * run.decodeTokPerS, 6);
    expect(run.bytesPerToken).toBeGreaterThan(0);
    expect(run.hostWaitsPerToken).toBe(0);
    expect(run.prefillTokPerS).toBeGreaterThan(0);
    // There is no adapter to measure.
    expect(run).not.toHaveProperty("predictedMs");
    expect(run.ttftMs.p95).toBeGreaterThanOrEqual(run.ttftMs.p50);
    expect(run.itlMs.p99).toBeGreaterThanOrEqual(run.itlMs.p50);
  }
  // Together, requests share the reading of the weights.
  expect(runs[1].bytesPerToken).toBeLessThan(runs[0].bytesPerToken);
});

test("takes six dispatches a layer where there is no QK-norm, and an int8 cache seven", async () => {
  const model = tinyModel({}, join(GOLDENS, "llama", "f32"));
  const options = ["--concurrency", "1,16", "--prompt-tokens", "4", "--gen-tokens", "12"];
  const perLayer = async (kv: string) => {
    const args = ["bench", "decode", "--model", model, "--device", "reference", "--kv", kv];
    const { runs } = await weftJson([...args, ...options]);
    return runs.map((run: { dispatchesPerLayer: number }) => run.dispatchesPerLayer);
  };
  expect(await perLayer("f16")).toEqual([6, 6]);
  expect(await perLayer("i8")).toEqual([7, 7]);
});

describe("what is counted", () => {
  /** One plan: each row's first token, and the labels of its calls. */
  const step = (from: readonly number[], labels: readonly string[]): MeteredStep => {
    const rows = from.map((token) => ({ tokens: { from: token, to: token + 1 } }));
    const call = (label: string) => ({ kernel: { cost: () => ({ bytes: { x: 60 } }) }, label });
    const calls = labels.map(call);
    return { plan: { rows }, calls, dispatches: 9, submissions: 1 } as unknown as MeteredStep;
  };
  const load = { concurrency: 2, promptTokens: 4, genTokens: 8 };
  const LABELS = ["embed", "layer 0 attention", "layer 0 mlp", "layer 1 mlp", "head"];

  test("is the plans in which all decode, and no other", () => {
    const steps = [
      step([0, 0], []),
      step([4], ["layer 0 mlp"]),
      step([5, 3], ["layer 0 mlp"]),
      step([6, 4], LABELS),
      step([7, 5], LABELS),
      step([6], []),
    ];
    expect(costPerToken(decodeSteps(steps, load), load, 2)).toEqual({
      dispatchesPerToken: 4.5,
      dispatchesPerStep: 9,
      dispatchesPerLayer: 1.5,
      submissionsPerToken: 0.5,
      bytesPerToken: 150,
    });
  });

  test("says what to do when there is no such plan", () => {
    expect(() => decodeSteps([step([4], LABELS)], load)).toThrow(
      /first of 2 requests ended before the last had started; raise --gen-tokens/,
    );
  });
});
