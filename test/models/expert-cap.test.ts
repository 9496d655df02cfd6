// Every way in which checkpoints store experts, under a cap: the very logits of all experts resident.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { planModel } from "../../runtime/load-model.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import { openModelFolder } from "../../runtime/model-folder/open-folder.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import { randomIds } from "../engine/ask.ts";
import { modelFile, modelFixtures } from "../runtime/gguf-fixture.ts";
import { watched } from "../runtime/weights/watched-source.ts";
import { loadTiny, logitsOf } from "./sequence-runner.ts";

test.each([
  ["one by one", "mixtral/f32", undefined],
  ["one by one, quantised on the way in", "mixtral/bf16", "q8"],
  ["stacked", "granitemoe/f32", undefined],
  ["stacked, with a shared expert", "granitemoeshared/f32", undefined],
  ["beside dense layers", "qwen3-moe-sparse-step/f32", undefined],
  ["in MXFP4, gates and values alternating, with biases", "gpt-oss/f32", undefined],
  ["of a GGUF file, gates and values apart", "qwen3-moe-q4_0", undefined],
  ["of a GGUF file, in MXFP4 and with biases", "gpt-oss-f32", undefined],
] as const)("experts %s", async (_, name, quant) => {
  const fixture = modelFixtures.find((own) => own.name === name);
  const folder = fixture
    ? openModelFolder(new Blob([await modelFile(fixture)]))
    : localFolder(fileURLToPath(new URL(`../fixtures/goldens/${name}`, import.meta.url)));
  const device = new ReferenceDevice();
  const { weights, spec, close } = await planModel(device, folder, { quant });
  await close();
  const stacks = weights.filter((weight) => weight.spec.stacked > 1);
  const expertBytes = stacks
    .flatMap(({ runs }) => runs)
    .reduce((sum, run) => sum + run.sizeBytes, 0);
  const ids = randomIds(60, 1).map((id) => id % spec.vocabSize);
  const plain = await logitsOf(await loadTiny(device, folder, { quant }), ids);
  const experts = { memoryBytes: Math.floor(expertBytes / 2) };
  const capped = await loadTiny(device, folder, { quant, experts });
  // Blocks of slots of an expert, and slots one by one.
  for (const chunk of [60, 7]) expect(await logitsOf(capped, ids, chunk)).toEqual(plain);
  expect(capped.experts!.metrics.uploads).toBeGreaterThan(capped.experts!.metrics.slots);
  await capped.experts!.close();
});

test.each([
  ["all of it: nothing is read twice", 2 ** 20, 0],
  ["none: whoever comes back is read", 0, 1],
])("host memory for %s", async (_, hostBytes, least) => {
  const path = fileURLToPath(new URL("../fixtures/goldens/mixtral/f32", import.meta.url));
  const reads: number[] = [];
  const files = localFolder(path);
  const folder: ModelFolder = {
    ...files,
    open: async (name, signal) => watched(await files.open(name, signal), reads),
  };
  const experts = { memoryBytes: 100_000, hostBytes };
  const runner = await loadTiny(new ReferenceDevice(), folder, { experts });
  const ids = [5, 9, 77, 3, 21, 64, 100];
  const first = await logitsOf(runner, ids, 1);
  reads.length = 0;
  const { uploads } = runner.experts!.metrics;
  expect(await logitsOf(runner, ids, 1)).toEqual(first);
  expect(runner.experts!.metrics.uploads).toBeGreaterThan(uploads);
  expect(Math.min(1, reads.length)).toBe(least);
  await runner.experts!.close();
});
