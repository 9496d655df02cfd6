// A .gguf file wherever a model is asked for.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modelFile, modelFixtures, sourceFolder, vocabularyFile } from "../runtime/gguf-fixture.ts";
import { weft, weftJson } from "./weft.ts";

const fixture = modelFixtures.find(({ name }) => name === "qwen3-f16")!;
const directory = mkdtempSync(join(tmpdir(), "weft-gguf-"));
const model = join(directory, "qwen3-f16.gguf");
beforeAll(async () => writeFileSync(model, await modelFile(fixture)));
afterAll(() => rmSync(directory, { recursive: true }));

test("info names architecture, formats and sizes", async () => {
  const { model: info } = await weftJson(["info", "--device", "reference", "--model", model]);
  expect(info.architecture).toMatchObject({ modelType: "qwen3", layers: 2, headDim: 32 });
  expect(info.formats.f16).toBeGreaterThan(info.formats.f32);
  expect(info.weightBytes).toBe(info.formats.f16 + info.formats.f32);
});

test("logits are those of the folder", async () => {
  const args = ["logits", "--device", "reference", "--ids", "1,5,9", "--model"];
  const [fromFile, fromFolder] = await Promise.all(
    [model, sourceFolder(fixture)].map((path) => weftJson([...args, path])),
  );
  expect(fromFile).toEqual(fromFolder);
});

test("a file without a model says what it lacks", async () => {
  const path = join(directory, "vocabulary.gguf");
  writeFileSync(path, vocabularyFile("llama-bpe"));
  const { status, stderr } = await weft(["info", "--device", "reference", "--model", path]);
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /vocabulary\.gguf holds no .*no metadata llama\.attention\.head_count.*bad_gguf/,
  );
});
