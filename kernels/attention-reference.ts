/**
 * The slow twins of attention-tile.ts: one KV tile for one query, and the merge of tiles, in plain
 * loops. Prefill and split decode share them as their WGSL shares its fragments, and round a tile to
 * f32 where it is handed on, so the reference device gives a row the same bits either way.
 */
import { KV_TILE } from "./attention-work.ts";
import { type KvDims, type KvView, kvRowStart, kvRun } from "./kv-layout.ts";
import { softCapReference } from "./soft-cap.ts";

/** What the references read: rows of one head at one position after another. */
export interface CacheView {
  readonly keyDims: number;
  readonly valueDims: number;
  /** From one row to the next. */
  readonly rowDims: number;
  /** Keys (plane 0) or values (1) of positions from `position` to the end of its block, or to `high`. */
  run(plane: 0 | 1, sequence: number, kvHead: number, position: number, high: number): Float32Array;
}

/** m, l and H outputs of one query per tile, wherever they lie. */
export interface PartialsView {
  readonly values: Float32Array;
  /** Of the first tile's m. */
  readonly first: number;
  /** From m to l, to output 0, to output 1 and so on. */
  readonly stride: number;
  readonly tileStride: number;
}

export interface ReferenceQuery {
  readonly q: Float32Array;
  /** Of dim 0 in `q`. */
  readonly from: number;
  readonly scale: number;
  /** Soft cap of scores. */
  readonly cap?: number;
  readonly sequence: number;
  readonly kvHead: number;
}

const scores = new Float64Array(KV_TILE);
const query = new Float64Array(1024);
const sums = new Float64Array(1024);

/** Positions [low, high) of one tile, summed in float64, to entry `tile` of the partials. */
export function attendReference(
  { q, from, scale, cap, sequence, kvHead }: ReferenceQuery,
  cache: CacheView,
  low: number,
  high: number,
  { values, first, stride, tileStride }: PartialsView,
  tile: number,
): void {
  const { keyDims, valueDims, rowDims } = cache;
  for (let d = 0; d < keyDims; d++) query[d] = q[from + d] * scale;
  let m = Number.NEGATIVE_INFINITY;
  for (let position = low; position < high; ) {
    const keys = cache.run(0, sequence, kvHead, position, high);
    for (let at = 0; at < keys.length; at += rowDims, position++) {
      let dot = 0;
      for (let d = 0; d < keyDims; d++) dot += query[d] * keys[at + d];
      const score = cap === undefined ? dot : softCapReference(dot, cap);
      scores[position - low] = score;
      if (score > m) m = score;
    }
  }
  // The tile is handed on with its max in f32: weights that are relative to another would not fit it.
  m = Math.fround(m);
  let l = 0;
  sums.fill(0, 0, valueDims);
  for (let position = low; position < high; ) {
    const run = cache.run(1, sequence, kvHead, position, high);
    for (let at = 0; at < run.length; at += rowDims, position++) {
      const p = Math.exp(scores[position - low] - m);
      l += p;
      for (let d = 0; d < valueDims; d++) sums[d] += p * run[at + d];
    }
  }
  const start = first + tile * tileStride;
  values[start] = m;
  values[start + stride] = l;
  for (let d = 0; d < valueDims; d++) values[start + (2 + d) * stride] = sums[d];
}

/** The softmax attention that tiles and sink make together, summed in float64, to `out[to]` and on. */
export function mergeReference(
  { values, first, stride, tileStride }: PartialsView,
  numTiles: number,
  H: number,
  out: Float32Array,
  to: number,
  sink = Number.NEGATIVE_INFINITY,
): void {
  const end = first + numTiles * tileStride;
  let m = sink;
  for (let tile = first; tile < end; tile += tileStride) m = Math.max(m, values[tile]);
  let l = Math.exp(sink - m);
  sums.fill(0, 0, H);
  for (let tile = first; tile < end; tile += tileStride) {
    const weight = Math.exp(values[tile] - m);
    l += weight * values[tile + stride];
    for (let d = 0; d < H; d++) sums[d] += weight * values[tile + (2 + d) * stride];
  }
  for (let d = 0; d < H; d++) out[to + d] = sums[d] / l;
}

/** Keys and values in blocks that a table names. */
export interface PagedPool {
  readonly pool: KvView;
  readonly table: Uint32Array;
  /** Entries of the table per sequence. */
  readonly M: number;
  /** Positions of a block. */
  readonly B: number;
}

/** Of [P,2,K,B,H]. */
export const pagedCache = ({ pool, table, M, K, B, H }: PagedPool & KvDims): CacheView => ({
  ...{ keyDims: H, valueDims: H, rowDims: H },
  run(plane, sequence, kvHead, position, high) {
    const block = table[sequence * M + Math.floor(position / B)];
    const start = kvRowStart({ K, B, H }, block, plane, kvHead, position % B);
    const count = Math.min(high - position, B - (position % B));
    return kvRun(pool, { K, B, H }, start, start + count * H);
  },
});
