/**
 * Split decode of multi-head latent attention: one row at a time, its KV tiles spread over workgroups.
 * attention-reduce.ts merges them. Owns no order of sums: that is attention-tile.ts.
 */
import { attendReference } from "./attention-reference.ts";
import { attendWgsl } from "./attention-tile.ts";
import { HEAD_QUAD, KV_TILE } from "./attention-work.ts";
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
 *   decode_tiles [W,4] u32: row, sequence, position, tile   (attention-work.ts)
 *   → partials [W,J,Z,4]: m, l and H outputs, each for the 4 heads of quad J
 *
 * Queries are absorbed: they lie in the space of the latent, H dims and then R rotated ones. One workgroup
 * per tile and eight heads, since the lanes of two quads of heads with 512 dims are the 256 that WebGPU
 * guarantees. Heads the last quad lacks are zero.
 * Cost: a row of the storage and its latent again, per position and eight heads; 4·N·H + 2·N·R flop per
 * position: with 128 heads bound by arithmetic, unlike other attention.
 * @see DeepSeek-V2, arXiv:2405.04434 §2.1 and appendix C.
 */
export const latentDecode = (storage: LatentStorage): Kernel => kernels[storage];

const build = (storage: LatentStorage): Kernel =>
  defineKernel({
    name: `latent_decode[${storage}]`,
    numerics: "attention/tile64/latent",
    bindings: {
      q: read("T,N*X", "vec4<f32>"),
      kv_pool: latentPoolRead(storage),
      block_table: read("S,M", "u32"),
      decode_tiles: read("W,4", "vec4<u32>"),
      partials: write("W,J,Z,4", "vec4<f32>"),
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

var<workgroup> work: vec4<u32>;
var<private> first_query: u32;
var<private> heads: u32;

fn query(column: u32, d4: u32) -> vec4<f32> {
  if (column >= heads) { return vec4<f32>(); }
  return load_q(first_query + column * KEY_QUADS + d4);
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
  let first_head = wg.y * QUADS * 4u;
  heads = min(QUADS * 4u, params.N - first_head);
  first_query = (item.x * params.N + first_head) * KEY_QUADS;
  let start = item.w * ${KV_TILE}u;
  let high = min(item.z + 1u, start + ${KV_TILE}u) - start;
  let tile = attend(lid.x, Span(item.y * params.M, 0u, item.w, 0u, high, true));

  let quad = lid.x / HEAD_QUADS;
  let d4 = lid.x % HEAD_QUADS;
  let num_quads = (params.N + 3u) / 4u;
  let own = wg.y * QUADS + quad;
  if (quad >= QUADS || own >= num_quads) { return; }
  let out = (wg.x * num_quads + own) * (H + 2u);
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
    workgroups: (dims) => [dims.W, latentHeadGroups(dims), 1],
    cost: ({ W, N, J, H, X, decode_positions, decode_blocks }) => {
      const groups = latentHeadGroups({ J });
      return {
        flops: 2 * decode_positions * N * (H + X),
        bytes: {
          q: 4 * W * N * X,
          kv_pool: latentRowBytes(storage, X + H) * decode_positions * groups,
          block_table: 4 * decode_blocks * groups,
          decode_tiles: 16 * W * groups,
          partials: 16 * W * J * (H + 2),
        },
      };
    },
    reference: ({ q, kv_pool, block_table, decode_tiles, partials }, dims) => {
      const { W, N, B, H, X, M, J, scale } = dims as Record<string, number>;
      const cache = latentCache({ pool: kv_pool, table: block_table, M, B, H, X });
      const tileStride = J * (H + 2) * 4;
      for (let w = 0; w < W; w++) {
        const [row, sequence, position, tile] = decode_tiles.subarray(4 * w, 4 * w + 4);
        const high = Math.min(position + 1, (tile + 1) * KV_TILE);
        partials.fill(0, w * tileStride, (w + 1) * tileStride);
        for (let n = 0; n < N; n++) {
          const first = Math.floor(n / HEAD_QUAD) * (H + 2) * 4 + (n % HEAD_QUAD);
          const query = { q, from: (row * N + n) * X, scale, sequence, kvHead: 0 };
          const tiles = { values: partials, first, stride: 4, tileStride };
          attendReference(query, cache, tile * KV_TILE, high, tiles, w);
        }
      }
    },
    tolerance: 3e-5,
    probes: latentProbes("decode"),
  });

const kernels = Object.fromEntries(
  latentStorages.map((storage) => [storage, build(storage)]),
) as Record<LatentStorage, Kernel>;
