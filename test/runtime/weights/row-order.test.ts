import { describe, expect, test } from "vitest";
import type { ByteSource } from "../../../runtime/weights/byte-source.ts";
import type { WeightTensor } from "../../../runtime/weights/checkpoint.ts";
import { streamInOrder } from "../../../runtime/weights/row-order.ts";
import { PIECE_BYTES } from "../../../runtime/weights/stream.ts";

/** Each row is filled with its own index. */
function tensor(rows: number, rowBytes: number, headSize?: number): WeightTensor {
  const source: ByteSource = {
    name: "rows",
    sizeBytes: rows * rowBytes,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const row = Math.floor((offset + at) / rowBytes);
        const end = Math.min(length, (row + 1) * rowBytes - offset);
        bytes.fill(row, at, end);
        at = end;
      }
      return bytes;
    },
  };
  const shape = [rows, rowBytes / 4];
  const place = { name: "w", source, offset: 0, byteLength: rows * rowBytes, shape };
  const rowOrder = headSize === undefined ? undefined : { headSize };
  return { ...place, dtype: "f32", rowOrder };
}

/** The index that each row of the output is filled with. */
async function rowsOf(weight: WeightTensor): Promise<number[]> {
  const all = new Uint8Array(weight.byteLength);
  let end = 0;
  for await (const { offset, bytes } of streamInOrder(weight, {})) {
    expect(offset).toBe(end);
    all.set(bytes, offset);
    end += bytes.length;
  }
  expect(end).toBe(weight.byteLength);
  const rowBytes = weight.byteLength / weight.shape[0];
  return Array.from({ length: weight.shape[0] }, (_, row) => {
    const bytes = all.subarray(row * rowBytes, (row + 1) * rowBytes);
    expect(Buffer.alloc(rowBytes, bytes[0]).equals(bytes)).toBe(true);
    return bytes[0];
  });
}

describe("interleaved rows", () => {
  test("rows of a head are parted into halves, heads stay where they are", async () => {
    expect(await rowsOf(tensor(12, 8, 6))).toEqual([0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
  });

  test("rows without an order are left as they are", async () => {
    expect(await rowsOf(tensor(4, 8))).toEqual([0, 1, 2, 3]);
  });

  test.each([
    ["heads longer than a piece", PIECE_BYTES / 4 + 64],
    ["heads that end inside of pieces", PIECE_BYTES / 16 + 32],
    ["heads that end with a piece", PIECE_BYTES / 8],
  ])("%s", async (_, rowBytes) => {
    expect(await rowsOf(tensor(16, rowBytes, 8))).toEqual([
      ...[0, 2, 4, 6, 1, 3, 5, 7],
      ...[8, 10, 12, 14, 9, 11, 13, 15],
    ]);
  });
});
