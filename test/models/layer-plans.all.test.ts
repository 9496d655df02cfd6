// Logits by layer plan against float64 transformers whose list of layers was edited (docs/goldens.md).

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { layerGroups } from "../../models/decoder.ts";
import { type LayerPlanSpec, stagePlan } from "../../models/layer-plan.ts";
import type { Device } from "../../runtime/device.ts";
import type { ModelRunner } from "../../runtime/model-runner.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";
import { loadTiny, logitsOf } from "./sequence-runner.ts";

interface PlannedLogits {
  readonly name: string;
  readonly plan: LayerPlanSpec;
  readonly logitStd: number;
  readonly logitsFile: string;
}

interface Fixture {
  readonly folder: string;
  readonly vocabSize: number;
  readonly logitsFile: string;
  readonly prompts: readonly (readonly number[])[];
  readonly plans?: readonly PlannedLogits[];
}

const root = fileURLToPath(new URL("../fixtures/goldens/", import.meta.url));
const index = JSON.parse(readFileSync(`${root}index.json`, "utf8")) as {
  tolerance: { f32: { max: number }; f16: { max: number; rms: number } };
  fixtures: Fixture[];
};
const withPlans = index.fixtures.filter(({ plans }) => plans !== undefined);

/** Logits of all prompts, one after the other, each `[tokens, vocabSize]`. */
function goldenLogits(file: string): Float32Array {
  const bytes = readFileSync(root + file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.byteLength / 4);
}

const errors = async (runner: ModelRunner, fixture: Fixture, of: PlannedLogits, chunk?: number) => {
  const { spec } = runner;
  const layerPlan = stagePlan(spec, layerGroups(spec), of.plan);
  const golden = goldenLogits(of.logitsFile);
  let max = 0;
  let squares = 0;
  let at = 0;
  for (const prompt of fixture.prompts) {
    for (const logit of await logitsOf(runner, prompt, chunk, layerPlan)) {
      const error = Math.abs(logit - golden[at++]) / of.logitStd;
      max = Math.max(max, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
      squares += error ** 2;
    }
  }
  expect(at).toBe(golden.length);
  return { max, rms: Math.sqrt(squares / at) };
};

test("there are plans of a dense and of a sparse model", () => {
  expect(withPlans.map(({ folder }) => folder)).toEqual(["qwen3-plans/f32", "qwen3-moe-plans/f32"]);
});

/** Every plan by the whole prompt; one by chunks, and one by what f16 keeps of keys and values. */
// A plan chooses calls, whichever the driver; on SwiftShader layer-routers.all.test.ts runs layers apart.
const WHEN = "on SwiftShader in soak: a plan chooses calls, whichever the driver";
const isRun = project() !== "swiftshader" || scale("logits", 0, 1) === 1;
describe.skipIf(!isRun).each(withPlans)(`$folder (${WHEN})`, (fixture) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice("full");
  });
  afterAll(() => device.destroy());
  const plans = fixture.plans ?? [];
  const load = (kv: "f32" | "f16") =>
    loadTiny(device, root + fixture.folder, { kv, layerPlans: plans.map(({ plan }) => plan) });

  test("keys and values in f32", async () => {
    const runner = await load("f32");
    for (const of of plans) {
      const { max } = await errors(runner, fixture, of);
      expect(max, of.name).toBeLessThanOrEqual(index.tolerance.f32.max);
    }
    const chunks = await errors(runner, fixture, plans.at(-1)!, 7);
    expect(chunks.max, "chunks").toBeLessThanOrEqual(index.tolerance.f32.max);
  }, 240_000);

  test.skipIf(project() === "swiftshader")(
    "in f16 (not on SwiftShader: slow)",
    async () => {
      const runner = await load("f16");
      for (const of of plans.slice(-2)) {
        const { max, rms } = await errors(runner, fixture, of);
        expect(max, of.name).toBeLessThanOrEqual(index.tolerance.f16.max);
        expect(rms, of.name).toBeLessThanOrEqual(index.tolerance.f16.rms);
      }
    },
    240_000,
  );
});
