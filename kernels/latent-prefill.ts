/**
 * Prefill of multi-head latent attention: KV tiles ascending, the running result in registers. Bit for
 * bit what split decode gives for each row.
 */
import { attendReference, mergeReference } from "./attention-reference.ts";
import { attendWgsl, mergeWgsl } from "./attention-tile.ts";
import { KV_TILE, QUERY_ROWS } from "./attention-work.ts";
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import {
  HEAD_QUADS_PER_GROUP,
  type LatentStorage,
  latentCache,
  latentHeadGroups,
  latentLoadWgsl,
  latentPoolRead,
  latentRowBytes,
  latentStorages,
} from "./latent-layout.ts";
import { latentProbes } from "./latent-probes.ts";

const LEAST_LANES = 64;

/**
 *   q [T,N*X]  kv_pool [P,B,X]  block_table [S,M] u32
 *   query_tiles [Q,4] u32: first row, number of rows, sequence, first position (attention-work.ts)
 *   → out [T,N*H], the rows of the tiles only
 *
 * Queries are absorbed (latent-decode.ts). All heads read the same rows of the cache, so a workgroup takes
 * eight heads of one row where other attention takes rows of one head: it reads as little, and none of
 * its columns sees less than the others. Rows that are written must be in the pool already.
 * Cost: a row of the storage and its latent again, per position, row and eight heads.
 * @see DeepSeek-V2, arXiv:2405.04434 §2.1; FlashAttention-2, arXiv:2307.08691.
 */
export const latentPrefill = (storage: LatentStorage): Kernel => kernels[storage];

const build = (storage: LatentStorage): Kernel =>
  defineKernel({
    name: `latent_prefill[${storage}]`,
    numerics: "attention/tile64/latent",
    bindings: {
      q: read("T,N*X", "vec4<f32>"),
      kv_pool: latentPoolRead(storage),
      block_table: read("S,M", "u32"),
      query_tiles: read("Q,4", "vec4<u32>"),
      out: write("T,N*H", "vec4<f32>"),
    },
    params: { N: "u32", H: "u32", X: "u32", M: "u32", scale: "f32" },
    constants: ["H", "X", "B"],
    wgsl: wgsl`
${attendWgsl({
  cache: latentLoadWgsl(storage, KV_TILE),
  keyDims: "X",
  lanes: `max(${LEAST_LANES}u, QUADS * HEAD_QUADS)`,
  quads: `${HEAD_QUADS_PER_GROUP}u`,
  capped: false,
})}
${mergeWgsl}

var<workgroup> work: vec4<u32>;
var<private> first_query: u32;
var<private> heads: u32;

fn query(column: u32, d4: u32) -> vec4<f32> {
  if (column >= heads) { return vec4<f32>(); }
  return load_q(first_query + column * KEY_QUADS + d4);
}

/** The columns are heads of one row. */
fn sees(quad: u32, position: u32) -> vec4<bool> { return vec4<bool>(true); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  if (lid.x == 0u) { work = load_query_tiles(wg.x); }
  let item = workgroupUniformLoad(&work);
  if (wg.y >= item.y) { return; }
  let row = item.x + wg.y;
  let end = item.w + wg.y + 1u;
  let first_head = wg.z * QUADS * 4u;
  heads = min(QUADS * 4u, params.N - first_head);
  first_query = (row * params.N + first_head) * KEY_QUADS;

  var m = vec4<f32>();
  var l = vec4<f32>();
  var o0 = vec4<f32>();
  var o1 = vec4<f32>();
  var o2 = vec4<f32>();
  var o3 = vec4<f32>();
  for (var tile = 0u; tile * ${KV_TILE}u < end; tile++) {
    let high = min(end - tile * ${KV_TILE}u, ${KV_TILE}u);
    let part = attend(lid.x, Span(item.z * params.M, 0u, tile, 0u, high, true));
    let scales = merge_scales(m, l, part.m, part.l);
    m = scales.m;
    l = scales.l;
    o0 = merge_output(o0, part.o0, scales);
    o1 = merge_output(o1, part.o1, scales);
    o2 = merge_output(o2, part.o2, scales);
    o3 = merge_output(o3, part.o3, scales);
  }
  o0 = attention_output(o0, l);
  o1 = attention_output(o1, l);
  o2 = attention_output(o2, l);
  o3 = attention_output(o3, l);
  let head = lid.x / HEAD_QUADS * 4u;
  if (head >= QUADS * 4u) { return; }
  let at = (row * params.N + first_head + head) * HEAD_QUADS + lid.x % HEAD_QUADS;
  if (head < heads) { store_out(at, vec4<f32>(o0.x, o1.x, o2.x, o3.x)); }
  if (head + 1u < heads) { store_out(at + HEAD_QUADS, vec4<f32>(o0.y, o1.y, o2.y, o3.y)); }
  if (head + 2u < heads) { store_out(at + 2u * HEAD_QUADS, vec4<f32>(o0.z, o1.z, o2.z, o3.z)); }
  if (head + 3u < heads) { store_out(at + 3u * HEAD_QUADS, vec4<f32>(o0.w, o1.w, o2.w, o3.w)); }
}
`,
    workgroups: (dims) => [dims.Q, QUERY_ROWS, latentHeadGroups(dims)],
    cost: (dims) => {
      const { Q, N, H, X, prefill_rows, row_tiles, row_positions, row_blocks } = dims;
      const groups = latentHeadGroups(dims);
      return {
        flops: 2 * row_positions * N * (H + X),
        bytes: {
          q: 4 * row_tiles * N * X,
          kv_pool: latentRowBytes(storage, X + H) * row_positions * groups,
          block_table: 4 * row_blocks * groups,
          query_tiles: 16 * Q * QUERY_ROWS * groups,
          out: 4 * prefill_rows * N * H,
        },
      };
    },
    reference: ({ q, kv_pool, block_table, query_tiles, out }, dims) => {
      const { Q, N, B, H, X, M, scale } = dims as Record<string, number>;
      const cache = latentCache({ pool: kv_pool, table: block_table, M, B, H, X });
      for (let i = 0; i < Q; i++) {
        const [firstRow, numRows, sequence, first] = query_tiles.subarray(4 * i, 4 * i + 4);
        for (let r = 0; r < numRows; r++) {
          const end = first + r + 1;
          const numTiles = Math.ceil(end / KV_TILE);
          const values = new Float32Array(numTiles * (H + 2));
          const tiles = { values, first: 0, stride: 1, tileStride: H + 2 };
          for (let n = 0; n < N; n++) {
            const head = (firstRow + r) * N + n;
            const query = { q, from: head * X, scale, sequence, kvHead: 0 };
            for (let tile = 0; tile < numTiles; tile++) {
              const low = tile * KV_TILE;
              attendReference(query, cache, low, Math.min(end, low + KV_TILE), tiles, tile);
            }
            mergeReference(tiles, numTiles, H, out, head * H);
          }
        }
      }
    },
    tolerance: 3e-5,
    probes: latentProbes("prefill"),
  });

const kernels = Object.fromEntries(
  latentStorages.map((storage) => [storage, build(storage)]),
) as Record<LatentStorage, Kernel>;
