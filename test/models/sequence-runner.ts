// Runs token ids through a ModelRunner without scheduler or sampler, in chunks of any size, and
// gives the logits of every position: what golden and invariance tests compare.

import { layerGroups, numStages } from "../../models/decoder.ts";
import { bytesToFloats, type Device } from "../../runtime/device.ts";
import { loadModel } from "../../runtime/load-model.ts";
import type { LoadModelOptions } from "../../runtime/load-options.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import type { ModelRunner } from "../../runtime/model-runner.ts";
import type { LayerPlan, PlannedRow } from "../../scheduler/work-plan.ts";

export async function loadTiny(
  device: Device,
  model: string | ModelFolder,
  options: LoadModelOptions = {},
): Promise<ModelRunner> {
  const folder = typeof model === "string" ? localFolder(model) : model;
  const { runner } = await loadModel(device, folder, {
    maxTokensPerPlan: 128,
    maxLogitRows: 128,
    ...options,
  });
  await device.prepare(runner.pipelines);
  return runner;
}

/** One sequence that owns blocks 1, 2, … of every group (all blocks that it ever needs). */
export async function logitsOf(
  runner: ModelRunner,
  ids: readonly number[],
  chunk: number = ids.length,
  layerPlan?: LayerPlan,
): Promise<Float32Array> {
  const { device, spec } = runner;
  const all = new Float32Array(ids.length * spec.vocabSize);
  const blocks = Array.from({ length: Math.ceil(ids.length / 32) }, (_, i) => i + 1);
  const stages = { from: 0, to: numStages(spec) };
  const blockTables = layerGroups(spec).map(() => blocks);
  for (let from = 0; from < ids.length; from += chunk) {
    const to = Math.min(ids.length, from + chunk);
    const planned: PlannedRow = {
      sequenceId: 1,
      tokens: { from, to },
      stages,
      kind: "compute",
      sample: true,
      blockTables,
      layerPlan,
    };
    const logitRows = Array.from({ length: to - from }, (_, i) => i);
    await runner.record([{ planned, ids, slot: 0 }], { logitRows });
    const sizeBytes = 4 * (to - from) * spec.vocabSize;
    const bytes = device.readback({ ...runner.logits, sizeBytes });
    device.submit();
    all.set(bytesToFloats(await bytes), from * spec.vocabSize);
  }
  return all;
}
