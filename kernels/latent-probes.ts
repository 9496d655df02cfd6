/**
 * Ragged batches of latent attention over a paged cache with known sizes: the kernels' own probes, and
 * the source of the tests' batches. Everything that no row may read is NaN.
 */
import { type AttentionMode, type BatchRange, rangesOf } from "./attention-probes.ts";
import { attentionWork } from "./attention-work.ts";
import type { Dims, Probe } from "./kernel.ts";
import { type LatentShape, latentShapeDims } from "./latent-layout.ts";
import { normal } from "./probe.ts";

export interface LatentBatch extends LatentShape {
  /** One sequence each. */
  readonly ranges: readonly BatchRange[];
}

/** All rows of the batch in one mode, whatever the engine would choose. */
export function latentProbe(batch: LatentBatch, mode: AttentionMode): Probe {
  const { N, H, R, B } = batch;
  const ranges = rangesOf(batch);
  const last = ranges[ranges.length - 1];
  const singles = ranges.flatMap(({ numRows, ...range }) =>
    Array.from({ length: numRows }, (_, i) => ({
      ...range,
      ...{ firstRow: range.firstRow + i, firstPosition: range.firstPosition + i, numRows: 1 },
    })),
  );
  const work = attentionWork(mode === "decode" ? singles : ranges, B, {
    window: 0,
    maxDecodeTiles: mode === "decode" ? Number.POSITIVE_INFINITY : 0,
  });
  const ends = ranges.map(({ firstPosition, numRows }) => firstPosition + numRows);
  const blocks = ends.map((end) => Math.ceil(end / B));
  const dims: Dims = {
    ...{ N, H, R, B, K: 1, window: 0, scale: 0.6 / Math.sqrt(H + R) },
    ...latentShapeDims(batch),
    ...work.dims,
    T: last.firstRow + last.numRows,
    S: ranges.length,
    M: Math.max(...blocks),
    P: 1 + blocks.reduce((sum, count) => sum + count, 0),
  };
  return {
    dims,
    inputs: (random) => ({
      q: normal(dims.T * N * dims.X, random, 2),
      ...cache(ends, dims, random),
      decode_tiles: work.decodeTiles,
      decode_rows: work.decodeRows,
      query_tiles: work.queryTiles,
    }),
  };
}

/** Blocks handed out in a shuffled order. @param ends Positions of each sequence. */
function cache(ends: readonly number[], { P, B, X, M, S }: Dims, random: () => number) {
  const kv_pool = new Float32Array(P * B * X).fill(Number.NaN);
  const block_table = new Uint32Array(S * M);
  const free = Array.from({ length: P - 1 }, (_, i) => i + 1);
  for (const [sequence, end] of ends.entries()) {
    for (let position = 0; position < end; position++) {
      const entry = sequence * M + Math.floor(position / B);
      if (position % B === 0) {
        block_table[entry] = free.splice(Math.floor(random() * free.length), 1)[0];
      }
      kv_pool.set(normal(X, random), (block_table[entry] * B + (position % B)) * X);
    }
  }
  return { kv_pool, block_table };
}

/** Few and small: the load-time self-test runs them on the user's device. */
const batches: readonly LatentBatch[] = [
  {
    ...{ N: 2, H: 32, R: 8, B: 32 },
    ranges: [
      { firstPosition: 0, numRows: 3 },
      { firstPosition: 62, numRows: 4 },
    ],
  },
  {
    ...{ N: 13, H: 96, R: 32, B: 16 },
    ranges: [
      { firstPosition: 120, numRows: 17 },
      { firstPosition: 63, numRows: 1 },
    ],
  },
];

export const latentProbes = (mode: AttentionMode): readonly Probe[] =>
  batches.map((batch) => latentProbe(batch, mode));
