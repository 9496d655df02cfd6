// Logits of every golden model against float64 transformers (docs/goldens.md), in units of the
// standard deviation of the golden's logits. Activations are f32 everywhere, so with an f32 KV cache
// 16-bit weights meet the f32 tolerance too: they decode exactly.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KvStorage, kvStorages } from "../../kernels/kv-layout.ts";
import type { Device } from "../../runtime/device.ts";
import { openDevice, type Profile, profiles } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { loadTiny, logitsOf } from "./sequence-runner.ts";

interface Fixture {
  readonly name: string;
  readonly dtype: "f32" | "f16" | "bf16";
  readonly folder: string;
  readonly modelType: string;
  readonly vocabSize: number;
  readonly logitStd: number;
  readonly logitsFile: string;
  readonly prompts: readonly (readonly number[])[];
}
const root = fileURLToPath(new URL("../fixtures/goldens/", import.meta.url));
const index = JSON.parse(readFileSync(`${root}index.json`, "utf8")) as {
  tolerance: { f32: { max: number }; f16: { max: number; rms: number } };
  fixtures: Fixture[];
};

// Each case compiles its own pipelines, which takes seconds of processor time, on lavapipe three times
// what it takes on SwiftShader. Graphs and shaders are the same on both; so SwiftShader runs a model per
// mechanism: RoPE scaling, window, biases, QK-norm, NoPE, experts, latents, norms after blocks with soft
// caps, sinks and MXFP4; and lavapipe in soak, with or without features.
const eachMechanism = [
  "llama-llama3/f32",
  "mistral/bf16",
  "qwen2-window/f32",
  "qwen3/f16",
  "smollm3/f32",
  "qwen2-moe/f32",
  "deepseek-v3/f32",
];
const onSwiftShader = [...eachMechanism, "olmo2/f32", "gemma2/f32", "gpt-oss/f32"];
/** In the gate on lavapipe, whose lanes of eight have kernels of their own: one with each kind of block. */
const onLavapipe = [
  ...["qwen2-window/f32", "qwen3/f16", "smollm3/f32", "qwen2-moe/f32"],
  ...["deepseek-v3/f32", "lfm2/f32"],
];
/** Kernels for no feature, by rows of each type; experts in soak. */
const withoutFeatures = ["qwen3/f16"];
const isSoak = scale("logits", 0, 1) === 1;

const fixturesOn = (profile: Profile): readonly Fixture[] => {
  if (project() === "reference") return index.fixtures;
  if (isSoak && (project() === "lavapipe" || profile === "full")) return index.fixtures;
  const full = project() === "swiftshader" ? onSwiftShader : onLavapipe;
  const some = profile === "full" ? full : withoutFeatures;
  return index.fixtures.filter(({ folder }) => some.includes(folder));
};

/** A device without features: in the gate on SwiftShader, which compiles for it sooner. */
const profilesHere = (): readonly Profile[] => {
  if (project() === "swiftshader") return ["full", "baseline"];
  return isSoak ? profiles() : ["full"];
};

/**
 * int8 rounds by largest / 440 RMS, 5e-3 of a random row's deviation, f16 by 2e-4 of each value: so its
 * error is 25 times that of f16, at most 0.008 RMS and 0.061 here. With a bit less, or cut instead of
 * rounded, it is twice that.
 */
const tolerances = { ...index.tolerance, i8: { max: 0.1, rms: 0.012 } };

/**
 * Pipelines take a GPU seconds: there the gate runs each mechanism in both types of floats, which are read
 * and written alike for every family, on lavapipe in one, one model with int8, and none on SwiftShader,
 * which in soak runs every model so.
 */
const storages = ({ folder, modelType }: Fixture, profile: Profile): readonly KvStorage[] => {
  // What int8 rounds off may make a router choose another expert: right, and far from the golden.
  const isSparse = /moe|mixtral|gpt_oss|deepseek/.test(modelType);
  const all = project() === "reference" || (isSoak && project() === "lavapipe");
  if (all) return isSparse ? ["f32", "f16"] : kvStorages;
  if (project() === "lavapipe") {
    if (folder === "qwen3/f16") return kvStorages;
    return folder === "deepseek-v3/f32" ? ["f16"] : ["f32"];
  }
  return profile === "full" && eachMechanism.includes(folder) ? ["f32", "f16"] : ["f32"];
};

describe.each(profilesHere())("device profile %s", (profile) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(profile);
  });
  afterAll(() => device.destroy());

  test.each(fixturesOn(profile).map((fixture) => [fixture.folder, fixture] as const))(
    "%s",
    async (_, fixture) => {
      for (const kv of storages(fixture, profile)) {
        const { max, rms } = await difference(device, fixture, kv);
        report("logits", { kv, max, rms });
        const tolerance = { rms: Number.POSITIVE_INFINITY, ...tolerances[kv] };
        expect(max, `max with ${kv} KV`).toBeLessThanOrEqual(tolerance.max);
        expect(rms, `rms with ${kv} KV`).toBeLessThanOrEqual(tolerance.rms);
      }
    },
    120_000,
  );
});

async function difference(device: Device, fixture: Fixture, kv: KvStorage) {
  const runner = await loadTiny(device, root + fixture.folder, { kv });
  const bytes = readFileSync(root + fixture.logitsFile);
  const golden = new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.byteLength / 4);
  let max = 0;
  let squares = 0;
  let at = 0;
  for (const prompt of fixture.prompts) {
    for (const logit of await logitsOf(runner, prompt)) {
      const error = Math.abs(logit - golden[at++]) / fixture.logitStd;
      max = Math.max(max, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
      squares += error ** 2;
    }
  }
  expect(at).toBe(golden.length);
  return { max, rms: Math.sqrt(squares / at) };
}
