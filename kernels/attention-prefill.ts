/**
 * Ragged prefill: up to 16 consecutive rows of one sequence per workgroup, KV tiles ascending,
 * the running result in registers. Bit for bit what split decode gives for each row.
 */
import { attentionProbes } from "./attention-probes.ts";
import { attendReference, mergeReference, pagedCache } from "./attention-reference.ts";
import { attendWgsl, mergeWgsl } from "./attention-tile.ts";
import { firstSeen, KV_TILE, QUERY_ROWS } from "./attention-work.ts";
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { type KvStorage, kvLoadWgsl, kvPoolRead, kvRowBytes } from "./kv-layout.ts";

/**
 *   q [T,N*H]  kv_pool [P,2,K,B,H]  block_table [S,M] u32
 *   query_tiles [Q,4] u32: first row, number of rows, sequence, first position (attention-work.ts)
 *   sinks [N] (sinks only)  → out [T,N*H], the rows of the tiles only
 *
 * One workgroup of H lanes per query tile and query head. K and V of the rows themselves must be in
 * the pool already. At most 15 KiB of workgroup memory at every head size.
 * Cost: 2·N rows of the storage per position and query tile; 4·H flop per row, head and position.
 * @see FlashAttention-2, arXiv:2307.08691; PagedAttention, arXiv:2309.06180 §4.1.
 */
export function attentionPrefill(
  storage: KvStorage,
  { capped = false, sinks = false }: AttentionVariant = {},
): Kernel {
  const name = `attention_prefill[${storage}]${capped ? ".capped" : ""}${sinks ? ".sinks" : ""}`;
  const kernel = built.get(name) ?? build(name, storage, { capped, sinks });
  built.set(name, kernel);
  return kernel;
}

export interface AttentionVariant {
  /** Scores have the soft cap `cap`. */
  readonly capped?: boolean;
  /** A score per head joins the sum that weights are divided by. */
  readonly sinks?: boolean;
}

const built = new Map<string, Kernel>();

const build = (name: string, storage: KvStorage, { capped, sinks }: Required<AttentionVariant>) =>
  defineKernel({
    name,
    numerics: `attention/tile64${capped ? "/capped" : ""}${sinks ? "/sinks" : ""}`,
    bindings: {
      q: read("T,N*H", "vec4<f32>"),
      kv_pool: kvPoolRead(storage),
      block_table: read("S,M", "u32"),
      query_tiles: read("Q,4", "vec4<u32>"),
      ...(sinks && { sinks: read("N") }),
      out: write("T,N*H", "vec4<f32>"),
    },
    params: {
      N: "u32",
      K: "u32",
      H: "u32",
      M: "u32",
      window: "u32",
      scale: "f32",
      ...(capped && { cap: "f32" }),
    },
    constants: ["H", "B"],
    wgsl: wgsl`
${attendWgsl({ cache: kvLoadWgsl(storage, KV_TILE), keyDims: "H", lanes: "H", quads: `${QUERY_ROWS / 4}u`, capped })}
${mergeWgsl}

var<workgroup> work: vec4<u32>;
var<private> first_row: u32;
var<private> num_rows: u32;
var<private> first_position: u32;
var<private> head: u32;

fn query(column: u32, d4: u32) -> vec4<f32> {
  if (column >= num_rows) { return vec4<f32>(); }
  return load_q(((first_row + column) * params.N + head) * HEAD_QUADS + d4);
}

fn seen_from(position: u32) -> u32 {
  return select(0u, position + 1u - params.window,
    params.window > 0u && position + 1u > params.window);
}

/** Columns past the last row see what it sees, so that a short tile can still be whole. */
fn sees(quad: u32, position: u32) -> vec4<bool> {
  let column = min(vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(num_rows - 1u));
  let own = vec4<u32>(first_position) + column;
  let window = select(params.window, 0xffffffffu, params.window == 0u);
  return (vec4<u32>(position) <= own) & (own - vec4<u32>(position) < vec4<u32>(window));
}

fn store_row(column: u32, d4: u32, v: vec4<f32>) {
  if (column >= num_rows) { return; }
  store_out(((first_row + column) * params.N + head) * HEAD_QUADS + d4, v);
}

@compute @workgroup_size(H)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  if (lid.x == 0u) { work = load_query_tiles(wg.x); }
  let item = workgroupUniformLoad(&work);
  first_row = item.x;
  num_rows = item.y;
  first_position = item.w;
  head = wg.y;
  let kv_head = wg.y / (params.N / params.K);
  let last = item.w + item.y - 1u;
  let low = seen_from(item.w);
  let low_of_last = seen_from(last);

  var m = vec4<f32>();
  var l = vec4<f32>();
  var o0 = vec4<f32>();
  var o1 = vec4<f32>();
  var o2 = vec4<f32>();
  var o3 = vec4<f32>();
  for (var tile = low / ${KV_TILE}u; tile <= last / ${KV_TILE}u; tile++) {
    let start = tile * ${KV_TILE}u;
    let begin = max(low, start);
    let end = min(last + 1u, start + ${KV_TILE}u);
    let whole = begin >= low_of_last && end <= item.w + 1u;
    let part = attend(
      lid.x,
      Span(item.z * params.M, kv_head, tile, begin - start, end - start, whole),
    );
    let scales = merge_scales(m, l, part.m, part.l);
    m = scales.m;
    l = scales.l;
    o0 = merge_output(o0, part.o0, scales);
    o1 = merge_output(o1, part.o1, scales);
    o2 = merge_output(o2, part.o2, scales);
    o3 = merge_output(o3, part.o3, scales);
  }
  ${sinks ? addSink : ""}
  o0 = attention_output(o0, l);
  o1 = attention_output(o1, l);
  o2 = attention_output(o2, l);
  o3 = attention_output(o3, l);
  let column = lid.x / HEAD_QUADS * 4u;
  let d4 = lid.x % HEAD_QUADS;
  store_row(column, d4, vec4<f32>(o0.x, o1.x, o2.x, o3.x));
  store_row(column + 1u, d4, vec4<f32>(o0.y, o1.y, o2.y, o3.y));
  store_row(column + 2u, d4, vec4<f32>(o0.z, o1.z, o2.z, o3.z));
  store_row(column + 3u, d4, vec4<f32>(o0.w, o1.w, o2.w, o3.w));
}
`,
    workgroups: ({ Q, N }) => [Q, N, 1],
    cost: (dims) => {
      const { Q, N, H, prefill_rows, prefill_row_tiles, prefill_positions, prefill_blocks } = dims;
      return {
        flops: 4 * QUERY_ROWS * prefill_positions * N * H,
        bytes: {
          q: 4 * prefill_row_tiles * N * H,
          kv_pool: 2 * kvRowBytes(storage, H) * prefill_positions * N,
          block_table: 4 * prefill_blocks * N,
          query_tiles: 16 * Q * N,
          ...(sinks && { sinks: 4 * Q * N * H }),
          out: 4 * prefill_rows * N * H,
        },
      };
    },
    reference: ({ q, kv_pool, block_table, query_tiles, sinks: ofHeads, out }, dims) => {
      const cap = capped ? dims.cap : undefined;
      const { Q, N, K, B, H, M, window, scale } = dims as Record<string, number>;
      const cache = pagedCache({ pool: kv_pool, table: block_table, M, K, B, H });
      for (let i = 0; i < Q; i++) {
        const [firstRow, numRows, sequence, first] = query_tiles.subarray(4 * i, 4 * i + 4);
        for (let r = 0; r < numRows; r++) {
          const position = first + r;
          const low = firstSeen(position, window);
          const firstTile = Math.floor(low / KV_TILE);
          const numTiles = Math.floor(position / KV_TILE) - firstTile + 1;
          const values = new Float32Array(numTiles * (H + 2));
          const tiles = { values, first: 0, stride: 1, tileStride: H + 2 };
          for (let n = 0; n < N; n++) {
            const from = ((firstRow + r) * N + n) * H;
            const query = { q, from, scale, cap, sequence, kvHead: Math.floor((n * K) / N) };
            for (let i = 0; i < numTiles; i++) {
              const start = (firstTile + i) * KV_TILE;
              const end = Math.min(position + 1, start + KV_TILE);
              attendReference(query, cache, Math.max(low, start), end, tiles, i);
            }
            mergeReference(tiles, numTiles, H, out, from, ofHeads?.[n]);
          }
        }
      }
    },
    tolerance: 3e-5,
    probes: attentionProbes("prefill"),
  });

const addSink = wgsl`let with_sink = merge_sink(m, l, vec4<f32>(load_sinks(head)));
  l = with_sink.l;
  o0 = merge_output(o0, vec4<f32>(), with_sink);
  o1 = merge_output(o1, vec4<f32>(), with_sink);
  o2 = merge_output(o2, vec4<f32>(), with_sink);
  o3 = merge_output(o3, vec4<f32>(), with_sink);`;
