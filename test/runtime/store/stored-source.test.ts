// How often the store's files are read while weights are streamed out of them.

import { expect, test } from "vitest";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import { streamSpan } from "../../../runtime/weights/stream.ts";
import { MemoryFiles } from "./memory-files.ts";
import { PART_BYTES, singleModel } from "./small-model.ts";
import { StoreRig } from "./store-rig.ts";

/** Of parts: whole ones, which are checked, and pieces of those that were. */
class WatchedFiles extends MemoryFiles {
  whole: string[] = [];
  piecesBytes = 0;

  override async read(path: string, from?: number, to?: number) {
    const bytes = await super.read(path, from, to);
    if (from !== undefined) this.piecesBytes += bytes?.length ?? 0;
    else if (path.includes("/files/")) this.whole.push(path);
    return bytes;
  }
}

const rig = new StoreRig();

async function opened() {
  const model = singleModel();
  rig.server.serve("/m", model);
  const files = new WatchedFiles();
  const store = new ModelStore(files, { partBytes: PART_BYTES });
  const source = await (await store.open(rig.url)).open("model.safetensors");
  files.whole = [];
  return { files, source, bytes: model["model.safetensors"] as Uint8Array };
}

test("a stream reads each part once, though pieces lie across two", async () => {
  const { files, source, bytes } = await opened();
  const span = { source, offset: 1000, byteLength: source.sizeBytes - 1000 };
  let at = 1000;
  for await (const piece of streamSpan(span, { pieceBytes: PART_BYTES })) {
    expect(Buffer.compare(piece.bytes, bytes.subarray(at, at + piece.bytes.length))).toBe(0);
    at += piece.bytes.length;
  }
  expect(at).toBe(source.sizeBytes);
  expect(files.whole).toHaveLength(10);
  expect(new Set(files.whole).size).toBe(10);
  expect(files.piecesBytes).toBe(0);
});

test("reads that jump about check each part once, and then read what is asked", async () => {
  const { files, source } = await opened();
  let asked = 0;
  for (let step = 0; step < 40; step++) {
    const offset = ((step * 7) % 9) * PART_BYTES + 11 * step;
    await source.read(offset, 100);
    asked += 100;
  }
  expect(new Set(files.whole).size).toBe(files.whole.length);
  expect(files.whole.length).toBeLessThanOrEqual(10);
  expect(files.piecesBytes).toBeLessThanOrEqual(asked);
});

test("who reads the same part at once waits for one read", async () => {
  const { files, source } = await opened();
  const reads = [0, 1, 2, 3].map((i) => source.read(100 * i, 100));
  expect((await Promise.all(reads)).map(({ length }) => length)).toEqual([100, 100, 100, 100]);
  expect(files.whole).toHaveLength(1);
});
