/**
 * Ragged attention batches over a paged cache with known sizes: the kernels' own probes, and the
 * source of the tests' batches. Everything that no row may read is NaN.
 */
import { type AttentionRange, attentionShapeDims, attentionWork } from "./attention-work.ts";
import type { Dims, Probe } from "./kernel.ts";
import { kvRowStart } from "./kv-layout.ts";
import { normal, uniform } from "./probe.ts";

export interface AttentionBatch {
  readonly N: number;
  readonly K: number;
  readonly H: number;
  readonly B: number;
  /** 0 for none. */
  readonly window: number;
  /** One sequence each. */
  readonly ranges: readonly BatchRange[];
}

/** New rows of a sequence, from this position on. */
export interface BatchRange {
  readonly firstPosition: number;
  readonly numRows: number;
}

export type AttentionMode = "decode" | "prefill";

/** All rows of the batch in one mode, whatever the engine would choose. */
export function attentionProbe(batch: AttentionBatch, mode: AttentionMode): Probe {
  const { N, K, H, B, window } = batch;
  const ranges = rangesOf(batch);
  const last = ranges[ranges.length - 1];
  const singles = ranges.flatMap(({ firstRow, numRows, sequence, firstPosition }) =>
    Array.from({ length: numRows }, (_, i) => ({
      firstRow: firstRow + i,
      numRows: 1,
      sequence,
      firstPosition: firstPosition + i,
    })),
  );
  const work = attentionWork(mode === "decode" ? singles : ranges, B, {
    window,
    maxDecodeTiles: mode === "decode" ? Number.POSITIVE_INFINITY : 0,
  });
  const blocksOf = (range: AttentionRange) => Math.ceil((range.firstPosition + range.numRows) / B);
  const dims: Dims = {
    ...attentionShapeDims(batch),
    ...work.dims,
    ...{ N, K, H, B, window },
    scale: 1 / Math.sqrt(H),
    // Near the spread of the scores.
    cap: 3,
    T: last.firstRow + last.numRows,
    S: ranges.length,
    M: Math.max(...ranges.map(blocksOf)),
    P: 1 + ranges.reduce((sum, range) => sum + blocksOf(range), 0),
  };
  return {
    dims,
    inputs: (random) => ({
      // Twice the usual spread: attention that is nearly uniform hides mistakes.
      q: normal(dims.T * N * H, random, 2),
      ...cache(batch, ranges, dims, random),
      decode_tiles: work.decodeTiles,
      decode_rows: work.decodeRows,
      query_tiles: work.queryTiles,
      partials: partials(dims, random),
      sinks: normal(N, random, 2),
    }),
  };
}

/** The rows of the batch in order, one sequence per range. */
export function rangesOf({ ranges }: Pick<AttentionBatch, "ranges">): AttentionRange[] {
  let firstRow = 0;
  return ranges.map(({ firstPosition, numRows }, sequence) => {
    const range = { firstRow, numRows, sequence, firstPosition };
    firstRow += numRows;
    return range;
  });
}

/** Blocks handed out in a shuffled order; those wholly behind the window are given back. */
function cache(
  { window }: AttentionBatch,
  ranges: readonly AttentionRange[],
  dims: Dims,
  random: () => number,
) {
  const { P, K, B, H, M, S } = dims as Record<string, number>;
  const kv_pool = new Float32Array(P * 2 * K * B * H).fill(Number.NaN);
  const block_table = new Uint32Array(S * M);
  const free = Array.from({ length: P - 1 }, (_, i) => i + 1);
  for (const { sequence, firstPosition, numRows } of ranges) {
    const low = window === 0 ? 0 : Math.max(0, firstPosition + 1 - window);
    const end = firstPosition + numRows;
    for (let position = low; position < end; position++) {
      const entry = sequence * M + Math.floor(position / B);
      if (block_table[entry] === 0) {
        block_table[entry] = free.splice(Math.floor(random() * free.length), 1)[0];
      }
      for (let head = 0; head < K; head++) {
        const key = kvRowStart({ K, B, H }, block_table[entry], 0, head, position % B);
        const value = kvRowStart({ K, B, H }, block_table[entry], 1, head, position % B);
        kv_pool.set(normal(H, random), key);
        kv_pool.set(normal(H, random), value);
      }
    }
  }
  return { kv_pool, block_table };
}

/** Partial results as decode could leave them. */
function partials({ W, J, Z, H }: Dims, random: () => number): Float32Array {
  const values = normal(W * J * Z * 4, random);
  for (let i = 0; i < W * J; i++) values.set(uniform(4, 1, 9, random), (i * (H + 2) + 1) * 4);
  return values;
}

/** Few and small: the load-time self-test runs them on the user's device. */
const batches: readonly AttentionBatch[] = [
  {
    ...{ N: 2, K: 1, H: 32, B: 32, window: 0 },
    ranges: [
      { firstPosition: 0, numRows: 3 },
      { firstPosition: 62, numRows: 4 },
    ],
  },
  {
    ...{ N: 5, K: 1, H: 80, B: 16, window: 33 },
    ranges: [
      { firstPosition: 120, numRows: 17 },
      { firstPosition: 63, numRows: 1 },
    ],
  },
];

export const attentionProbes = (mode: AttentionMode): readonly Probe[] =>
  batches.map((batch) => attentionProbe(batch, mode));
