// Work lists of attention against a count by hand of every position that every row sees.

import { describe, expect, test } from "vitest";
import {
  type AttentionRange,
  attentionShapeDims,
  attentionWork,
  KV_TILE,
  QUERY_ROWS,
} from "../../kernels/attention-work.ts";
import { seededRandom } from "../../kernels/probe.ts";

const random = seededRandom(5);
const below = (n: number) => Math.floor(random() * n);

function randomRanges(): AttentionRange[] {
  let firstRow = 0;
  return Array.from({ length: 1 + below(6) }, (_, sequence) => {
    const numRows = 1 + below(random() < 0.5 ? 3 : 40);
    const range = { firstRow, numRows, sequence, firstPosition: below(300) };
    firstRow += numRows;
    return range;
  });
}

const sees = (position: number, window: number) =>
  Array.from({ length: position + 1 }, (_, p) => p).filter(
    (p) => window === 0 || position - p < window,
  );

describe.each([0, 1, 33, 64, 100])("window %i", (window) => {
  test("each row is in one list, with all that it sees", () => {
    for (let round = 0; round < 20; round++) {
      const ranges = randomRanges();
      const B = round % 2 === 0 ? 32 : 16;
      const work = attentionWork(ranges, B, { window, maxDecodeTiles: 20 });
      const rows = new Map<number, { sequence: number; position: number }>();
      for (const { firstRow, numRows, sequence, firstPosition } of ranges) {
        for (let i = 0; i < numRows; i++) {
          rows.set(firstRow + i, { sequence, position: firstPosition + i });
        }
      }
      const seen = { decode: 0, blocks: 0 };
      const { W, U, Q } = work.dims;
      expect(W).toBeLessThanOrEqual(20);
      for (let u = 0; u < U; u++) {
        const [row, firstTile, numTiles] = work.decodeRows.subarray(3 * u);
        const expected = rows.get(row)!;
        rows.delete(row);
        const positions = sees(expected.position, window);
        const tiles = [...new Set(positions.map((p) => Math.floor(p / KV_TILE)))];
        const listed = Array.from({ length: numTiles }, (_, i) => [
          ...work.decodeTiles.subarray(4 * (firstTile + i), 4 * (firstTile + i) + 4),
        ]);
        expect(listed).toEqual(
          tiles.map((tile) => [row, expected.sequence, expected.position, tile]),
        );
        seen.decode += positions.length;
        seen.blocks += new Set(positions.map((p) => Math.floor(p / B))).size;
      }
      expect(work.dims.decode_positions).toBe(seen.decode);
      expect(work.dims.decode_blocks).toBe(seen.blocks);

      const sums = { rows: 0, rowTiles: 0, positions: 0, blocks: 0 };
      for (let i = 0; i < Q; i++) {
        const [row, numRows, sequence, first] = work.queryTiles.subarray(4 * i);
        expect(numRows).toBeLessThanOrEqual(QUERY_ROWS);
        const union = new Set<number>();
        for (let r = 0; r < numRows; r++) {
          expect(rows.get(row + r)).toEqual({ sequence, position: first + r });
          rows.delete(row + r);
          for (const position of sees(first + r, window)) union.add(position);
        }
        const positions = [...union];
        sums.rows += numRows;
        sums.rowTiles += numRows * new Set(positions.map((p) => Math.floor(p / KV_TILE))).size;
        sums.positions += positions.length;
        sums.blocks += new Set(positions.map((p) => Math.floor(p / B))).size;
      }
      expect(rows.size).toBe(0);
      expect(work.dims).toMatchObject({
        prefill_rows: sums.rows,
        prefill_row_tiles: sums.rowTiles,
        prefill_positions: sums.positions,
        prefill_blocks: sums.blocks,
      });
    }
  });
});

test("decodes split, chunks do not, and a full scratch sends decodes to prefill", () => {
  const ranges = [
    { firstRow: 0, numRows: 1, sequence: 0, firstPosition: 200 },
    { firstRow: 1, numRows: 1, sequence: 1, firstPosition: 63 },
    { firstRow: 2, numRows: 100, sequence: 2, firstPosition: 0 },
  ];
  const all = attentionWork(ranges, 32, { window: 0, maxDecodeTiles: 5 }).dims;
  expect([all.W, all.U, all.Q]).toEqual([5, 2, 7]);
  const tight = attentionWork(ranges, 32, { window: 0, maxDecodeTiles: 4 }).dims;
  expect([tight.W, tight.U, tight.Q]).toEqual([4, 1, 8]);
});

test("model sizes: quads of query heads, and what is refused", () => {
  const shape = { N: 32, K: 8, H: 128, B: 32 };
  expect(attentionShapeDims(shape)).toEqual({ G: 1, J: 8, Z: 130 });
  expect(attentionShapeDims({ ...shape, N: 40 })).toEqual({ G: 2, J: 16, Z: 130 });
  expect(() => attentionShapeDims({ ...shape, N: 33 })).toThrow(/whole ratio up to 16/);
  expect(() => attentionShapeDims({ ...shape, N: 136 })).toThrow(/whole ratio up to 16/);
  expect(() => attentionShapeDims({ ...shape, H: 24 })).toThrow(/multiple of 4 from 32 to 256/);
  expect(() => attentionShapeDims({ ...shape, B: 64 })).toThrow(/use 32 or 16/);
});
