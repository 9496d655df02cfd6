/**
 * Split decode: one row at a time, its KV tiles spread over workgroups, one partial result each.
 * attention-reduce.ts merges them. Owns no order of sums: that is attention-tile.ts.
 */

import { attentionProbes } from "./attention-probes.ts";
import { attendReference, pagedCache } from "./attention-reference.ts";
import { attendWgsl } from "./attention-tile.ts";
import { firstSeen, HEAD_QUAD, KV_TILE } from "./attention-work.ts";
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { type KvStorage, kvLoadWgsl, kvPoolRead, kvRowBytes, kvStorages } from "./kv-layout.ts";

const LEAST_LANES = 64;

/**
 *   q [T,N*H]  kv_pool [P,2,K,B,H]  block_table [S,M] u32
 *   decode_tiles [W,4] u32: row, sequence, position, tile   (attention-work.ts)
 *   → partials [W,J,Z,4]: m, l and H outputs, each for the 4 query heads of quad J
 *
 * One workgroup per tile and KV head, for all the query heads that share it: G quads of them. Heads the
 * last quad lacks are zero. Scores and sums are f32 whatever the storage. With `capped`, scores have the
 * soft cap `cap`.
 * Cost: 2·K rows of the storage per position seen: memory-bound below a dozen heads per KV head.
 * @see Flash-Decoding (Dao et al., 2023); PagedAttention, arXiv:2309.06180 §4.1.
 */
export const attentionDecode = (storage: KvStorage, { capped = false } = {}): Kernel =>
  (capped ? cappedKernels : kernels)[storage];

const build = (storage: KvStorage, capped: boolean): Kernel =>
  defineKernel({
    name: `attention_decode[${storage}]${capped ? ".capped" : ""}`,
    numerics: `attention/tile64${capped ? "/capped" : ""}`,
    bindings: {
      q: read("T,N*H", "vec4<f32>"),
      kv_pool: kvPoolRead(storage),
      block_table: read("S,M", "u32"),
      decode_tiles: read("W,4", "vec4<u32>"),
      partials: write("W,J,Z,4", "vec4<f32>"),
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
    constants: ["H", "B", "G"],
    wgsl: wgsl`
${attendWgsl({ cache: kvLoadWgsl(storage, KV_TILE), keyDims: "H", lanes: `max(${LEAST_LANES}u, QUADS * HEAD_QUADS)`, quads: "G", capped })}

var<workgroup> work: vec4<u32>;
var<private> first_query: u32;
var<private> heads: u32;

fn query(column: u32, d4: u32) -> vec4<f32> {
  if (column >= heads) { return vec4<f32>(); }
  return load_q(first_query + column * HEAD_QUADS + d4);
}

/** The columns are heads of one row, so they see the same positions: those of the span. */
fn sees(quad: u32, position: u32) -> vec4<bool> { return vec4<bool>(true); }

fn store_partial(i: u32, quad: u32, v: vec4<f32>) {
  let live = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(heads);
  store_partials(i, select(vec4<f32>(), v, live));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  if (lid.x == 0u) { work = load_decode_tiles(wg.x); }
  let item = workgroupUniformLoad(&work);
  let position = item.z;
  let kv_head = wg.y;
  heads = params.N / params.K;
  first_query = (item.x * params.N + kv_head * heads) * HEAD_QUADS;

  let start = item.w * ${KV_TILE}u;
  var seen_from = 0u;
  if (params.window > 0u && position + 1u > params.window) {
    seen_from = position + 1u - params.window;
  }
  let low = max(seen_from, start) - start;
  let high = min(position + 1u, start + ${KV_TILE}u) - start;
  let tile = attend(lid.x, Span(item.y * params.M, kv_head, item.w, low, high, true));

  let quad = lid.x / HEAD_QUADS;
  let d4 = lid.x % HEAD_QUADS;
  if (quad >= QUADS) { return; }
  let out = ((wg.x * params.K + kv_head) * QUADS + quad) * (H + 2u);
  if (d4 == 0u) {
    store_partial(out, quad, tile.m);
    store_partial(out + 1u, quad, tile.l);
  }
  store_partial(out + 2u + d4 * 4u, quad, tile.o0);
  store_partial(out + 3u + d4 * 4u, quad, tile.o1);
  store_partial(out + 4u + d4 * 4u, quad, tile.o2);
  store_partial(out + 5u + d4 * 4u, quad, tile.o3);
}
`,
    workgroups: ({ W, K }) => [W, K, 1],
    cost: ({ W, N, K, J, H, decode_positions, decode_blocks }) => ({
      flops: 4 * decode_positions * N * H,
      bytes: {
        q: 4 * W * N * H,
        kv_pool: 2 * kvRowBytes(storage, H) * decode_positions * K,
        block_table: 4 * decode_blocks * K,
        decode_tiles: 16 * W * K,
        partials: 16 * W * J * (H + 2),
      },
    }),
    reference: ({ q, kv_pool, block_table, decode_tiles, partials }, dims) => {
      const { W, N, K, B, H, M, J, window, scale } = dims as Record<string, number>;
      const cap = capped ? dims.cap : undefined;
      const cache = pagedCache({ pool: kv_pool, table: block_table, M, K, B, H });
      const group = N / K;
      const groupQuads = Math.ceil(group / HEAD_QUAD);
      const tileStride = J * (H + 2) * 4;
      for (let w = 0; w < W; w++) {
        const [row, sequence, position, tile] = decode_tiles.subarray(4 * w, 4 * w + 4);
        const low = Math.max(firstSeen(position, window), tile * KV_TILE);
        const high = Math.min(position + 1, (tile + 1) * KV_TILE);
        partials.fill(0, w * tileStride, (w + 1) * tileStride);
        for (let n = 0; n < N; n++) {
          const kvHead = Math.floor(n / group);
          const inGroup = n % group;
          const quad = kvHead * groupQuads + Math.floor(inGroup / HEAD_QUAD);
          const first = quad * (H + 2) * 4 + (inGroup % HEAD_QUAD);
          const query = { q, from: (row * N + n) * H, scale, cap, sequence, kvHead };
          const tiles = { values: partials, first, stride: 4, tileStride };
          attendReference(query, cache, low, high, tiles, w);
        }
      }
    },
    tolerance: 3e-5,
    probes: attentionProbes("decode"),
  });

const ofEachStorage = (capped: boolean) =>
  Object.fromEntries(kvStorages.map((storage) => [storage, build(storage, capped)])) as Record<
    KvStorage,
    Kernel
  >;
const kernels = ofEachStorage(false);
const cappedKernels = ofEachStorage(true);
