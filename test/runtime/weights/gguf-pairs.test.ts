// Gates and values from two tensors of a GGUF file: the bytes of one that has them below each other, in
// pieces of whole rows that are no larger than asked for; and ggml's MXFP4 with a byte more in each block.

import { describe, expect, test } from "vitest";
import { blobSource } from "../../../runtime/weights/byte-source.ts";
import type { WeightTensor } from "../../../runtime/weights/checkpoint.ts";
import { widened } from "../../../runtime/weights/gguf-mxfp4.ts";
import { paired } from "../../../runtime/weights/gguf-pairs.ts";
import {
  ProgressMeter,
  type StreamOptions,
  streamTensor,
} from "../../../runtime/weights/stream.ts";

const MATRICES = 5;
const ROWS = 4;
const ROW_BYTES = 16;
const HALF = ROWS * ROW_BYTES;

/** Each row of its own byte: gates from 0, values from 100. */
function half(first: number): WeightTensor {
  const bytes = Uint8Array.from(
    { length: MATRICES * HALF },
    (_, i) => first + Math.floor(i / ROW_BYTES),
  );
  return {
    ...{ name: `from ${first}`, dtype: "f32", shape: [MATRICES, ROWS, ROW_BYTES / 4] },
    ...{ source: blobSource(new Blob([bytes]), "m.gguf"), offset: 0, byteLength: bytes.length },
  };
}

const both = paired("both", [half(0), half(100)], [MATRICES, 2 * ROWS, ROW_BYTES / 4], MATRICES);
const expectedRows = Array.from({ length: MATRICES * 2 * ROWS }, (_, row) => {
  const matrix = Math.floor(row / (2 * ROWS));
  const inMatrix = row % (2 * ROWS);
  return inMatrix < ROWS ? matrix * ROWS + inMatrix : 100 + matrix * ROWS + inMatrix - ROWS;
});

async function collect(tensor: WeightTensor, options: StreamOptions) {
  const all: number[] = [];
  const sizes: number[] = [];
  for await (const { offset, bytes } of streamTensor(tensor, options)) {
    expect(offset).toBe(all.length);
    all.push(...bytes);
    sizes.push(bytes.byteLength);
  }
  return { all, sizes };
}

describe("gates and values", () => {
  test.each([
    ["all at once", 10_000],
    ["two matrices at a time", 4 * HALF + 5],
    ["matrix by matrix", 2 * HALF],
    ["gates and values in turn", HALF],
    ["a part of the gates", 3 * ROW_BYTES + 1],
  ])("%s", async (_, pieceBytes) => {
    const { all, sizes } = await collect(both, { pieceBytes });
    expect(all).toEqual(expectedRows.flatMap((row) => Array(ROW_BYTES).fill(row)));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(pieceBytes);
    expect(sizes.every((size) => size % ROW_BYTES === 0)).toBe(true);
  });

  test.each([10_000, HALF])("of one matrix, by pieces of %i", async (pieceBytes) => {
    const { all } = await collect(both, { from: 4 * HALF, to: 6 * HALF, pieceBytes });
    const rows = expectedRows.slice(4 * ROWS, 6 * ROWS);
    expect(all).toEqual(rows.flatMap((row) => Array(ROW_BYTES).fill(row)));
  });

  test("progress counts each byte once", async () => {
    let loaded = 0;
    const meter = new ProgressMeter(both.byteLength, ({ loadedBytes }) => {
      loaded = loadedBytes;
    });
    await collect(both, { meter, pieceBytes: 3 * HALF });
    expect(loaded).toBe(both.byteLength);
  });
});

test("MXFP4: the exponent fills a halfword, in any pieces", async () => {
  const rows = 6;
  const block = (row: number) => [row, ...Array.from({ length: 16 }, (_, i) => 16 * row + i)];
  const stored = Array.from({ length: rows }, (_, row) => block(row)).flat();
  const tensor = widened({
    ...{ name: "w", dtype: "mxfp4", shape: [rows, 32] },
    source: blobSource(new Blob([Uint8Array.from(stored)]), "m.gguf"),
    ...{ offset: 0, byteLength: stored.length },
  });
  expect(tensor.byteLength).toBe(rows * 18);
  const wide = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => block(from + i)).flatMap(([e, ...codes]) => [
      ...[e, 0],
      ...codes,
    ]);
  for (const pieceBytes of [1000, 40, 18]) {
    const { all, sizes } = await collect(tensor, { pieceBytes });
    expect(all).toEqual(wide(0, rows));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(pieceBytes);
  }
  expect((await collect(tensor, { from: 2 * 18, to: 5 * 18 })).all).toEqual(wide(2, 5));
});
