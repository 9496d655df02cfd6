// Interleaved rows of queries and keys are put in order on the GPU, while weights are packed; also where
// matrices are cut, as they do not fit one binding.

import { test } from "vitest";
import { openModelFolder } from "../../runtime/model-folder/open-folder.ts";
import { openDevice } from "../harness/device.ts";
import { modelFile, modelFixtures, sourceFolder } from "../runtime/gguf-fixture.ts";
import { expectSame } from "./expect-same.ts";
import { loadTiny, logitsOf } from "./sequence-runner.ts";

test("llama-f16", async () => {
  const device = await openDevice();
  const fixture = modelFixtures.find(({ name }) => name === "llama-f16")!;
  const ids = [1, 100, 7, 64, 3];
  const fromFolder = await loadTiny(device, sourceFolder(fixture));
  const expected = await logitsOf(fromFolder, ids);
  const fromGguf = await loadTiny(device, openModelFolder(new Blob([await modelFile(fixture)])));
  expectSame(await logitsOf(fromGguf, ids), expected);

  const { hiddenSize, headDim } = fromFolder.spec;
  const limits = { ...device.info.limits, maxBindingBytes: 2 * hiddenSize * (4 * headDim + 15) };
  Object.defineProperty(device, "info", { value: { ...device.info, limits } });
  const cut = await loadTiny(device, openModelFolder(new Blob([await modelFile(fixture)])));
  expectSame(await logitsOf(cut, ids), expected);
  device.destroy();
}, 180_000);
