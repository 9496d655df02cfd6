// Models of random weights: the tensors that the loader asks for, and the same bytes however they are read.

import { expect, test } from "vitest";
import { planModel } from "../../../runtime/load-model.ts";
import { openModelFolder } from "../../../runtime/model-folder/open-folder.ts";
import { randomShapes } from "../../../runtime/model-folder/random-shapes.ts";
import { ReferenceDevice } from "../../../runtime/reference/device.ts";

const openConfig = (model: string) => openModelFolder(model).open("config.json");

test.each(Object.keys(randomShapes))("random:%s has every tensor of its shape", async (shape) => {
  const plan = await planModel(new ReferenceDevice(), openModelFolder(`random:${shape}`));
  const bytes = plan.weights.flatMap(({ runs }) => runs.map(({ format }) => format));
  const experts = shape === "gpt-oss-20b" ? ["mxfp4"] : [];
  expect(new Set(bytes)).toEqual(new Set(["f16", "f32", ...experts]));
  await plan.close();
});

test.each([
  ["qwen3-0.6b", 596_049_920],
  ["lfm2-1.2b", 1_170_340_608],
])("%s has as many weights as the published model", async (shape, numWeights) => {
  const plan = await planModel(new ReferenceDevice(), openModelFolder(`random:${shape}`));
  const count = plan.weights.reduce((sum, { spec }) => sum + spec.rows * spec.columns, 0);
  expect(count).toBe(numWeights);
  await plan.close();
});

test("a piece read alone has the bytes that it has in a longer one", async () => {
  const file = await openModelFolder("random:tiny").open("model.safetensors");
  const all = await file.read(0, file.sizeBytes);
  const at = file.sizeBytes - 1_100_001;
  const piece = await file.read(at, 1_050_000);
  expect(Buffer.compare(piece, all.subarray(at, at + 1_050_000))).toBe(0);
  const halves = new Uint16Array(all.slice(-4096).buffer);
  expect(halves.every((half) => ((half >> 10) & 31) !== 31 && half !== 0)).toBe(true);
});

test("a shape with fewer layers, and those of as many weights as the published mixtures", async () => {
  const count = async (model: string) => {
    const plan = await planModel(new ReferenceDevice(), openModelFolder(model));
    await plan.close();
    return plan.weights.reduce((sum, { spec }) => sum + spec.rows * spec.columns, 0);
  };
  expect(await count("random:qwen3-30b-a3b")).toBe(30_532_122_624);
  const [one, two] = [await count("random:qwen3-30b-a3b@1"), await count("random:qwen3-30b-a3b@2")];
  expect((two - one) * 48 + one - (two - one)).toBe(30_532_122_624);
  expect(await count("random:deepseek-v2-lite")).toBe(15_706_484_224);
  await expect(openConfig("random:tiny@0")).rejects.toThrow(/names no shape known here/);
  await expect(openConfig("random:constructor")).rejects.toThrow(/names no shape known here/);
});

test("a shape that is not known is refused with those that are", async () => {
  await expect(openConfig("random:gpt-5")).rejects.toThrow(
    /names no shape known here; there are tiny, /,
  );
});
