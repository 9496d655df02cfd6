// The same files through @huggingface/gguf: keys, values, tensors, types, shapes and offsets.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import { afterAll, expect, test } from "vitest";
import { blobSource } from "../../../runtime/weights/byte-source.ts";
import { readGgufHeader } from "../../../runtime/weights/gguf-header.ts";
import { TENSOR_TYPES } from "../../../runtime/weights/gguf-types.ts";
import { modelFile, modelFixtures, vocabularyFile, vocabularyNames } from "../gguf-fixture.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-gguf-"));
afterAll(() => rmSync(directory, { recursive: true }));

const FILES: [string, () => Promise<Uint8Array<ArrayBuffer>>][] = [
  // The other demo file differs in its types alone, and takes long to round.
  ...modelFixtures
    .filter(({ name }) => name !== "demo-f16")
    .map((fixture): [string, () => Promise<Uint8Array<ArrayBuffer>>] => [
      fixture.name,
      () => modelFile(fixture),
    ]),
  ...vocabularyNames.map((name): [string, () => Promise<Uint8Array<ArrayBuffer>>] => [
    name,
    async () => vocabularyFile(name),
  ]),
];

test.each(FILES)("%s", async (name, make) => {
  const bytes = await make();
  const path = join(directory, `${name}.gguf`);
  writeFileSync(path, bytes);
  const { metadata, tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true });
  const { values, tensors, version } = await readGgufHeader(blobSource(new Blob([bytes]), name));

  const { version: theirVersion, tensor_count, kv_count, ...theirs } = metadata;
  expect(version).toBe(theirVersion);
  expect(tensors.size).toBe(Number(tensor_count));
  expect(values.size).toBe(Number(kv_count));
  const ours = [...values].map(([key, entry]) => {
    if (entry.type !== "array") return [key, entry.value];
    // Ours keeps the bytes.
    return [key, entry.elements === "bool" ? [...entry.value].map(Boolean) : [...entry.value]];
  });
  // They give u64 as bigint whatever its size; none is in these files.
  expect(Object.fromEntries(ours)).toEqual(theirs);
  expect(
    [...tensors.values()].map(({ name, type, shape, offset }) => [
      name,
      type.name,
      shape.toReversed(),
      offset - Number(tensorDataOffset),
    ]),
  ).toEqual(
    tensorInfos.map(({ name, dtype, shape, offset }) => [
      name,
      GGMLQuantizationType[dtype],
      shape.map(Number),
      Number(offset),
    ]),
  );
});

test("types have the same numbers", () => {
  for (const [id, { name }] of TENSOR_TYPES) {
    const theirs = GGMLQuantizationType[id];
    if (theirs !== undefined) expect(name).toBe(theirs);
  }
});
