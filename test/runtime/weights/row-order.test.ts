import { describe, expect, test } from "vitest";
import type { WeightSpec } from "../../../models/weights.ts";
import { loadWeights } from "../../../runtime/load-weights.ts";
import { placeWeights } from "../../../runtime/placed-weight.ts";
import { ReferenceDevice } from "../../../runtime/reference/device.ts";
import type { ByteSource } from "../../../runtime/weights/byte-source.ts";
import type { Checkpoint, WeightTensor } from "../../../runtime/weights/checkpoint.ts";
import { inOrder, type RowOrder } from "../../../runtime/weights/row-order.ts";
import { PIECE_BYTES } from "../../../runtime/weights/stream.ts";

test("elements of a head are parted into halves, heads stay where they are", () => {
  const file = Float32Array.from({ length: 12 }, (_, i) => i);
  const ordered = [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11];
  expect([...inOrder(file, { headSize: 6 })]).toEqual(ordered);
  expect(inOrder(file, undefined)).toBe(file);
});

/** Each row holds the number that `value` gives it. */
function matrix(
  rows: number,
  columns: number,
  value: (row: number) => number,
  rowOrder?: RowOrder,
): WeightTensor {
  const rowBytes = 4 * columns;
  const source: ByteSource = {
    name: "rows",
    sizeBytes: rows * rowBytes,
    async read(offset, length) {
      const values = new Float32Array(length / 4);
      for (let i = 0; i < values.length; i++) {
        values[i] = value(Math.floor((offset + 4 * i) / rowBytes));
      }
      return new Uint8Array(values.buffer);
    },
  };
  const place = { source, offset: 0, byteLength: rows * rowBytes, shape: [rows, columns] };
  return { name: "w", dtype: "f32", rowOrder, ...place };
}

async function packed(tensor: WeightTensor): Promise<Uint8Array> {
  const [rows, columns] = tensor.shape;
  const checkpoint: Checkpoint = {
    location: "rows",
    tensors: new Map(),
    has: () => true,
    tensor: () => tensor,
    close: async () => {},
  };
  const parts = [{ tensor: "w", shape: tensor.shape }];
  const kind = {
    ...{ vector: false, vocabulary: false, unit: 1, gated: false },
    ...{ stacked: 1, exact: false },
  };
  const spec: WeightSpec = { name: "w", rows, columns, parts, ...kind };
  const device = new ReferenceDevice();
  const weights = await loadWeights(device, placeWeights([spec], checkpoint), {});
  const bytes = device.readback(weights.get("w")!.shards[0].slice);
  device.submit();
  return bytes;
}

describe("a matrix", () => {
  test.each([
    ["of one piece", 32, 12],
    ["whose heads are cut by the pieces it is read in", PIECE_BYTES / 4 / 28, 36],
  ])("%s", async (_, wanted, rows) => {
    const columns = 32 * Math.floor(wanted / 32);
    const headSize = 6;
    // Row 2·d + p of a head holds the number of row p·H/2 + d.
    const inFile = (row: number) => {
      const d = row % headSize;
      return row - d + Math.floor(d / 2) + (d % 2) * (headSize / 2);
    };
    const reordered = await packed(matrix(rows, columns, inFile, { headSize }));
    const plain = await packed(matrix(rows, columns, (row) => row));
    expect(Buffer.from(reordered).equals(plain)).toBe(true);
    const left = await packed(matrix(rows, columns, inFile));
    expect(Buffer.from(left).equals(plain)).toBe(false);
  });
});
