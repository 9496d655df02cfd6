// A model in 4-bit groups, as MLX, AWQ and GPTQ store them, gives the very logits of the same model
// with those weights in f32: loading loses nothing, and kernels decode exactly.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../runtime/device.ts";
import { loadModel } from "../../runtime/load-model.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import type { LoadProgress } from "../../runtime/weights/stream.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { bothFolders, int4Model, methods } from "../runtime/int4-model.ts";
import { logitsOf } from "./sequence-runner.ts";

/** Their pipelines take seconds to build on a driver. The methods differ before a device sees them. */
const here = methods.filter((method) => project() === "reference" || method === "mlx");
const FORMATS = { mlx: "affine4_f16_g32", awq: "zeropoint4_f16_g64", gptq: "zeropoint4_f16_g32" };
const PROMPT = [5, 17, 3, 99, 42, 8, 130, 77, 1, 64, 23];

// SwiftShader takes a minute for two models; int4.all.test.ts of kernels/ runs the formats there.
describe.skipIf(project() === "swiftshader")("logits (not on SwiftShader: a minute)", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice("full");
  });
  afterAll(() => device.destroy());

  test.each(here)("%s", { timeout: 120_000 }, async (method) => {
    const { model, twin } = bothFolders(await int4Model(method));
    const logits = await logitsIn(model, device, FORMATS[method]);
    expect(new Set(logits).size).toBeGreaterThan(logits.length / 2);
    expect(logits).toEqual(await logitsIn(twin, device, "f32"));
  });
});

async function logitsIn(folder: ModelFolder, device: Device, format: string): Promise<Uint32Array> {
  let loaded: LoadProgress | undefined;
  const { runner, plan } = await loadModel(device, folder, {
    ...{ kv: "f32", maxTokensPerPlan: 32, maxLogitRows: 32 },
    onProgress: (progress) => {
      loaded = progress;
    },
  });
  expect(loaded!.loadedBytes).toBe(loaded!.totalBytes);
  const projections = plan.weights.filter(({ spec }) => /qkv|gate_up|down/.test(spec.name));
  const formats = projections.flatMap(({ runs }) => runs.map((run) => run.format));
  expect(formats).toEqual(projections.map(() => format));
  await device.prepare(runner.pipelines);
  const logits = await logitsOf(runner, PROMPT);
  return new Uint32Array(logits.buffer);
}
