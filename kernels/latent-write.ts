/**
 * What multi-head latent attention keeps of a token, into the cache: the normalised latent, and the one
 * key that rotates. Rotates the queries too. Rounds exactly where its unfused twin `rms_norm` rounds.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { storeKvRow } from "./kv-layout.ts";
import {
  type LatentStorage,
  latentPoolWrite,
  latentRowBytes,
  latentStorages,
  latentStoreWgsl,
} from "./latent-layout.ts";
import { normal, uniform } from "./probe.ts";
import { inverseRmsReference, inverseRmsWgsl, NORM_LANES } from "./rms-norm.ts";
import { probeTable } from "./rope.ts";
import { probePlaces } from "./rope-kv-write.ts";

/**
 *   x [T,X]: the latent, H dims, and the key's R  q [T,N*Y]: of each head, dims that rotate in the last R
 *   token_places [T,2] u32  rope_table [C,R]  norm_weight [H]
 *   → kv_pool [P,B,X],  rotated queries in the last R dims of each head of q_latent [T,N*X]
 *
 * Rotates neighbouring dims, (2i, 2i + 1), with each other, as DeepSeek's checkpoints store them: other
 * kernels pair dim i with i + R/2. The place of a token is its position and its slot, block·B + offset.
 * One workgroup per head of a row, and one for the latent.
 * Cost: about 16·T·N·R + 12·T·H + T·X of the storage bytes: memory-bound.
 * @see DeepSeek-V2, arXiv:2405.04434 §2.1.2 to 2.1.3.
 */
export const latentWrite = (storage: LatentStorage): Kernel => kernels[storage];

const build = (storage: LatentStorage): Kernel =>
  defineKernel({
    name: `latent_write[${storage}]`,
    numerics: `latent_write/${storage}`,
    bindings: {
      x: read("T,X", "vec4<f32>"),
      q: read("T,N*Y", "vec4<f32>"),
      token_places: read("T,2", "vec2<u32>"),
      rope_table: read("C,R"),
      norm_weight: read("H", "vec4<f32>"),
      q_latent: write("T,N*X", "vec4<f32>"),
      kv_pool: latentPoolWrite(storage),
    },
    params: { N: "u32", H: "u32", R: "u32", X: "u32", Y: "u32", eps: "f32" },
    wgsl: wgsl`${inverseRmsWgsl}
${latentStoreWgsl(storage)}

var<workgroup> place: vec2<u32>;
var<workgroup> norm_scale: f32;

/** Two pairs of neighbours, pairs 2·d4 and 2·d4 + 1. */
fn rotated(v: vec4<f32>, d4: u32) -> vec4<f32> {
  let half = params.R / 2u;
  let row = place.x * params.R + 2u * d4;
  let cosine = vec2<f32>(load_rope_table(row), load_rope_table(row + 1u));
  let sine = vec2<f32>(load_rope_table(row + half), load_rope_table(row + half + 1u));
  let turned = v.yxwz * vec4<f32>(-sine.x, sine.x, -sine.y, sine.y);
  return fma(v, cosine.xxyy, turned);
}

@compute @workgroup_size(${NORM_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let row = wg.x;
  let lane = lid.x;
  if (lane == 0u) { place = load_token_places(row); }
  workgroupBarrier();
  let rotary = params.R / 4u;
  let latent = params.H / 4u;
  if (wg.y < params.N) {
    let head = row * params.N + wg.y;
    let first = (head + 1u) * (params.Y / 4u) - rotary;
    let out = head * (params.X / 4u) + latent;
    for (var d4 = lane; d4 < rotary; d4 += ${NORM_LANES}u) {
      store_q_latent(out + d4, rotated(load_q(first + d4), d4));
    }
    return;
  }
  let first = row * (params.X / 4u);
  let inverse = inverse_rms(lane, first, params.H, params.eps);
  if (lane == 0u) { norm_scale = inverse; }
  workgroupBarrier();
  for (var d4 = lane; d4 < latent; d4 += ${NORM_LANES}u) {
    put_latent(place.y, d4, load_x(first + d4) * norm_scale * load_norm_weight(d4));
  }
  for (var d4 = lane; d4 < rotary; d4 += ${NORM_LANES}u) {
    put_latent(place.y, latent + d4, rotated(load_x(first + latent + d4), d4));
  }
}
`,
    workgroups: ({ T, N }) => [T, N + 1, 1],
    cost: ({ T, N, H, R, X }) => ({
      flops: T * (4 * H + 3 * (N + 1) * R),
      bytes: {
        x: 4 * T * (X + H),
        q: 4 * T * N * R,
        token_places: 8 * T * (N + 1),
        rope_table: 4 * T * (N + 1) * R,
        norm_weight: 4 * T * H,
        q_latent: 4 * T * N * R,
        kv_pool: latentRowBytes(storage, X) * T,
      },
    }),
    reference: (io, dims) => {
      const { T, N, B, H, R, X, Y, eps } = dims as Record<string, number>;
      const { x, q, token_places, rope_table, norm_weight, q_latent, kv_pool } = io;
      for (let t = 0; t < T; t++) {
        const [position, slot] = token_places.subarray(2 * t, 2 * t + 2);
        const table = rope_table.subarray(position * R, (position + 1) * R);
        for (let n = 0; n < N; n++) {
          const head = t * N + n;
          const rotary = q.subarray((head + 1) * Y - R, (head + 1) * Y);
          q_latent.set(rotateNeighbours(rotary, table), head * X + H);
        }
        const row: Float32Array = x.slice(t * X, (t + 1) * X);
        const scale = inverseRmsReference(row.subarray(0, H), eps);
        for (let d = 0; d < H; d++) row[d] = row[d] * scale * norm_weight[d];
        row.set(rotateNeighbours(row.subarray(H), table), H);
        storeKvRow(kv_pool, { K: 1, B, H: X }, slot * X, row);
      }
    },
    probes: [
      { T: 2, N: 1, P: 3, B: 16, H: 32, R: 8, C: 9, Y: 40, eps: 1e-2 },
      { T: 3, N: 3, P: 3, B: 32, H: 96, R: 32, C: 70, Y: 36, eps: 1e-5 },
      { T: 1, N: 2, P: 2, B: 32, H: 512, R: 64, C: 5, Y: 192, eps: 1e-6 },
    ].map((sizes) => latentWriteProbe(sizes)),
  });

/** One position's cosines, then its sines, to pairs of neighbours. */
function rotateNeighbours(v: Float32Array, table: Float32Array): Float32Array {
  const half = v.length / 2;
  return v.map((value, d) => {
    const pair = d >> 1;
    const sine = table[half + pair];
    return value * table[pair] + (d % 2 === 0 ? -v[d + 1] : v[d - 1]) * sine;
  });
}

interface LatentWriteSizes {
  readonly T: number;
  readonly N: number;
  readonly P: number;
  readonly B: number;
  readonly H: number;
  readonly R: number;
  /** Positions of the table. */
  readonly C: number;
  readonly Y: number;
  readonly eps: number;
}

export function latentWriteProbe(sizes: LatentWriteSizes, spread = 1) {
  const dims = { ...sizes, X: sizes.H + sizes.R };
  return {
    dims,
    inputs: (random: () => number) => ({
      x: normal(dims.T * dims.X, random, spread),
      q: normal(dims.T * dims.N * dims.Y, random, spread),
      token_places: probePlaces(dims, random),
      rope_table: probeTable(dims.R, dims.R, dims.C),
      norm_weight: uniform(dims.H, 0.5, 1.5, random),
    }),
  };
}

const kernels = Object.fromEntries(
  latentStorages.map((storage) => [storage, build(storage)]),
) as Record<LatentStorage, Kernel>;
