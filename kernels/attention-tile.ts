/**
 * The numeric class of attention: one KV tile for up to 4 columns per quad, and the merge of tiles.
 * Prefill and split decode paste these same fragments, so a row's bits do not depend on which ran.
 *
 * A column is one query: a head of the group in decode, a row in prefill. Four columns share a vec4.
 * Per column and tile of 64 positions (at absolute multiples of 64):
 *   score_j = Σ_d (scale·q_d)·k_jd   chunks of 32 dims, fma ascending, chunk sums ascending
 *   score_j = cap·tanh(score_j / cap)   where a model caps its scores
 *   m = max_j score_j,  p_j = exp(score_j − m),  l = Σ_j p_j,  o_d = Σ_j p_j·v_jd   fma, j ascending
 * and tiles are merged ascending; a sink, where a model has one, after the last, as a tile of one position
 * with that score and value 0. Every multiply that meets an add is an explicit fma, so a compiler
 * has nothing left to contract. Positions that a column does not see are skipped, never multiplied
 * by zero: their memory may hold NaN. The slow twins are in attention-reference.ts.
 */
import { KV_TILE } from "./attention-work.ts";
import { wgsl } from "./kernel.ts";
import { softCapWgsl } from "./soft-cap.ts";

/** Quads of vec4<f32> in the staging area: 8 KiB, a chunk of 64 keys or as many values as fit. */
const STAGE = 512;
const CHUNK_QUADS = 8;

export interface TileVariant {
  /** WGSL: `open_kv_tile` and `kv_quad`, as kv-layout.ts has them. */
  readonly cache: string;
  /** Param and override that says how many dims a key has; H has those of a value. */
  readonly keyDims: "H" | "X";
  /** WGSL: invocations of the workgroup, at least QUADS·H/4. */
  readonly lanes: string;
  /** WGSL: quads of columns per workgroup, at most 4. */
  readonly quads: string;
  /** Scores have a soft cap, param `cap`. */
  readonly capped: boolean;
}

/** Once a score is whole, before the largest is sought. */
const storeScores = `if (chunk == 0u) { weights[item] = sum; } else { weights[item] += sum; }`;
const storeCappedScores = wgsl`if (chunk > 0u) { sum += weights[item]; }
    if (chunk + width == KEY_QUADS) { sum = soft_cap(sum, params.cap); }
    weights[item] = sum;`;

/**
 * `fn attend(lane, span)`: one tile; lane i gets dims 4·(i mod H/4) + 0..3 of quad i / (H/4).
 *
 * Needs `load_block_table`, `load_kv_pool`, overrides H and B, param scale, what the cache needs, and two functions:
 *   fn query(column: u32, d4: u32) -> vec4<f32>          zero where there is no such column
 *   fn sees(quad: u32, position: u32) -> vec4<bool>      for the four columns; absolute position
 */
export const attendWgsl = ({ cache, keyDims, lanes, quads, capped }: TileVariant): string => wgsl`
${capped ? softCapWgsl : ""}
override LANES: u32 = ${lanes};
override QUADS: u32 = ${quads};
override HEAD_QUADS: u32 = H / 4u;
override KEY_QUADS: u32 = ${keyDims} / 4u;
${cache}

/** Below every score, and finite: WGSL may assume that no infinity occurs. */
const LOWEST = -3.4028234e38;

struct Span {
  /** First entry of the sequence in block_table. */
  table: u32,
  kv_head: u32,
  tile: u32,
  /** Positions of the tile that some column sees: [low, high), relative to the tile. */
  low: u32,
  high: u32,
  /** Every column sees all of them. */
  whole: bool,
}

struct Tile {
  m: vec4<f32>,
  l: vec4<f32>,
  /** Dims 0 to 3 of the lane's four, each for four columns. */
  o0: vec4<f32>,
  o1: vec4<f32>,
  o2: vec4<f32>,
  o3: vec4<f32>,
}

var<workgroup> stage: array<vec4<f32>, ${STAGE}>;
var<workgroup> queries: array<vec4<f32>, 32u * QUADS>;
/** Scores, then weights: [quad][position]. */
var<workgroup> weights: array<vec4<f32>, ${KV_TILE}u * QUADS>;
/** Of each eighth of the tile, then of the tile. */
var<workgroup> maxima: array<vec4<f32>, 8u * QUADS>;
var<workgroup> tile_maxima: array<vec4<f32>, QUADS>;

fn attend(lane: u32, span: Span) -> Tile {
  let table = span.table + span.tile * (${KV_TILE}u / B);
  open_kv_tile(lane, table, span.kv_head, span.low, span.high);
  // Bounded by a uniform, not by a constant: software drivers would unroll it, at seconds per compile.
  for (var chunk = 0u; chunk < params.${keyDims} / 4u; chunk += ${CHUNK_QUADS}u) {
    let width = min(${CHUNK_QUADS}u, KEY_QUADS - chunk);
    stage_keys(lane, span, chunk, width);
    stage_queries(lane, chunk, width);
    workgroupBarrier();
    add_scores(lane, span, chunk, width);
    workgroupBarrier();
  }
  weigh(lane, span);

  let quad = lane / HEAD_QUADS;
  let d4 = lane % HEAD_QUADS;
  var tile = Tile();
  let rows = ${STAGE}u / HEAD_QUADS;
  for (var first = span.low; first < span.high; first += rows) {
    let end = min(first + rows, span.high);
    stage_values(lane, first, end);
    workgroupBarrier();
    if (quad < QUADS) {
      for (var j = first; j < end; j++) {
        let p = weights[quad * ${KV_TILE}u + j];
        let v = stage[(j - first) * HEAD_QUADS + d4];
        tile.l += p;
        if (span.whole) {
          tile.o0 = fma(p, vec4<f32>(v.x), tile.o0);
          tile.o1 = fma(p, vec4<f32>(v.y), tile.o1);
          tile.o2 = fma(p, vec4<f32>(v.z), tile.o2);
          tile.o3 = fma(p, vec4<f32>(v.w), tile.o3);
        } else {
          let seen = sees(quad, span.tile * ${KV_TILE}u + j);
          tile.o0 = select(tile.o0, fma(p, vec4<f32>(v.x), tile.o0), seen);
          tile.o1 = select(tile.o1, fma(p, vec4<f32>(v.y), tile.o1), seen);
          tile.o2 = select(tile.o2, fma(p, vec4<f32>(v.z), tile.o2), seen);
          tile.o3 = select(tile.o3, fma(p, vec4<f32>(v.w), tile.o3), seen);
        }
      }
    }
    workgroupBarrier();
  }
  tile.m = tile_maxima[min(quad, QUADS - 1u)];
  return tile;
}

/** stage[d4][position]: neighbouring lanes read neighbouring positions of one quad of dims. */
fn stage_keys(lane: u32, span: Span, chunk: u32, width: u32) {
  for (var i = span.low * ${CHUNK_QUADS}u + lane; i < span.high * ${CHUNK_QUADS}u; i += LANES) {
    let j = i / ${CHUNK_QUADS}u;
    let d4 = i % ${CHUNK_QUADS}u;
    if (d4 < width) {
      stage[d4 * ${KV_TILE}u + j] = kv_quad(0u, j, chunk + d4);
    }
  }
}

/** stage[position − first][d4]. */
fn stage_values(lane: u32, first: u32, end: u32) {
  for (var i = lane; i < (end - first) * HEAD_QUADS; i += LANES) {
    stage[i] = kv_quad(1u, first + i / HEAD_QUADS, i % HEAD_QUADS);
  }
}

/** queries[column][d4], scaled here so that no product is left to contract with a later add. */
fn stage_queries(lane: u32, chunk: u32, width: u32) {
  for (var i = lane; i < QUADS * 4u * ${CHUNK_QUADS}u; i += LANES) {
    let d4 = i % ${CHUNK_QUADS}u;
    if (d4 < width) { queries[i] = query(i / ${CHUNK_QUADS}u, chunk + d4) * params.scale; }
  }
}

fn add_scores(lane: u32, span: Span, chunk: u32, width: u32) {
  for (var item = lane; item < QUADS * ${KV_TILE}u; item += LANES) {
    let j = item % ${KV_TILE}u;
    if (j < span.low || j >= span.high) { continue; }
    var at = item / ${KV_TILE}u * ${4 * CHUNK_QUADS}u;
    var sum = vec4<f32>();
    for (var i = j; i < width * ${KV_TILE}u; i += ${KV_TILE}u) {
      let k = stage[i];
      let a = queries[at];
      let b = queries[at + ${CHUNK_QUADS}u];
      let c = queries[at + ${2 * CHUNK_QUADS}u];
      let d = queries[at + ${3 * CHUNK_QUADS}u];
      sum = fma(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(k.x), sum);
      sum = fma(vec4<f32>(a.y, b.y, c.y, d.y), vec4<f32>(k.y), sum);
      sum = fma(vec4<f32>(a.z, b.z, c.z, d.z), vec4<f32>(k.z), sum);
      sum = fma(vec4<f32>(a.w, b.w, c.w, d.w), vec4<f32>(k.w), sum);
      at += 1u;
    }
    ${capped ? storeCappedScores : storeScores}
  }
}

/** Scores to exp(score − max); zero where a column does not see the position. */
fn weigh(lane: u32, span: Span) {
  let start = span.tile * ${KV_TILE}u;
  for (var item = lane; item < QUADS * 8u; item += LANES) {
    var m = vec4<f32>(LOWEST);
    for (var j = max(span.low, item % 8u * 8u); j < min(span.high, item % 8u * 8u + 8u); j++) {
      let score = weights[item / 8u * ${KV_TILE}u + j];
      m = select(m, max(m, score), sees(item / 8u, start + j));
    }
    maxima[item] = m;
  }
  workgroupBarrier();
  if (lane < QUADS) {
    var m = vec4<f32>(LOWEST);
    for (var i = lane * 8u; i < lane * 8u + 8u; i++) { m = max(m, maxima[i]); }
    tile_maxima[lane] = m;
  }
  workgroupBarrier();
  for (var item = lane; item < QUADS * ${KV_TILE}u; item += LANES) {
    let quad = item / ${KV_TILE}u;
    let j = item % ${KV_TILE}u;
    if (j < span.low || j >= span.high) { continue; }
    let p = exp(weights[item] - tile_maxima[quad]);
    weights[item] = select(vec4<f32>(), p, sees(quad, start + j));
  }
}`;

/**
 * `merge_scales` and `merge_output` add a tile to the running (m, l, o) of four columns; `l = 0`
 * marks a column that has seen nothing. `attention_output` is the result.
 */
export const mergeWgsl = wgsl`
struct Merge {
  m: vec4<f32>,
  l: vec4<f32>,
  /** Factors of what was there and of the tile. */
  keep: vec4<f32>,
  take: vec4<f32>,
  unseen: vec4<bool>,
}

fn merge_scales(m: vec4<f32>, l: vec4<f32>, tile_m: vec4<f32>, tile_l: vec4<f32>) -> Merge {
  let zero = vec4<f32>();
  let unseen = tile_l == zero;
  let fresh = l == zero;
  let both = select(max(m, tile_m), tile_m, fresh);
  let keep = select(exp(m - both), zero, fresh);
  let take = exp(tile_m - both);
  let sum = fma(tile_l, take, l * keep);
  return Merge(select(both, m, unseen), select(sum, l, unseen), keep, take, unseen);
}

fn merge_output(o: vec4<f32>, tile_o: vec4<f32>, scales: Merge) -> vec4<f32> {
  return select(fma(tile_o, scales.take, o * scales.keep), o, scales.unseen);
}

fn attention_output(o: vec4<f32>, l: vec4<f32>) -> vec4<f32> {
  let inverse = vec4<f32>(1.0) / l;
  return o * inverse;
}

/** A tile of one position of this score, whose value is 0: its l is 1 and its output 0. */
fn merge_sink(m: vec4<f32>, l: vec4<f32>, sink: vec4<f32>) -> Merge {
  return merge_scales(m, l, sink, vec4<f32>(1.0));
}`;
