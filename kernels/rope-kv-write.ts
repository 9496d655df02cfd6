/**
 * RoPE and KV write in one dispatch, from the fused QKV projection, with QK-norm where a model has it.
 * Rounds exactly where its unfused twins round: `rms_norm` over heads, `rope`, `kv_write`.
 */
import { type Dims, defineKernel, type Kernel, read, type Views, wgsl, write } from "./kernel.ts";
import {
  type KvStorage,
  kvPoolWrite,
  kvRowBytes,
  kvRowStart,
  kvStorages,
  kvStoreWgsl,
  storeKvRow,
} from "./kv-layout.ts";
import { probeSlots } from "./kv-write.ts";
import { normal, uniform } from "./probe.ts";
import { inverseRmsReference } from "./rms-norm.ts";
import { probeTable, ROPE_LANES, rotateReference, rotateWgsl } from "./rope.ts";

export interface RopeKvWriteVariant {
  readonly storage: KvStorage;
  /** RMSNorm of each query and key head before the rotation. */
  readonly qkNorm: boolean;
}

/**
 *   qkv [T,(N+2K)*H]  token_places [T,2] u32  rope_table [C,R]  qk_norm [2,H] (norm only)
 *   → q [T,N*H],  K and V rows of kv_pool [P,2,K,B,H]
 *
 * The place of a token is its position and its slot, block·B + offset.
 * One workgroup per head of a row; R = 0 rotates nothing. qk_norm holds the query's weight, then
 * the key's. Cost: about 4·T·(N+K)·(H+3R) + 2·T·K·(2·H + bytes of a row): memory-bound.
 */
export const ropeKvWrite = ({ storage, qkNorm }: RopeKvWriteVariant): Kernel =>
  kernels[storage][qkNorm ? "norm" : "plain"];

/**
 * `fn place_quad(row, head, d4, x, partner, place)`: quad d4 of a head of q, k or v, one below the other,
 * to where it belongs, rotated where it rotates; `partner` is then the quad that `rope_partner` names.
 * Needs params B, H and R, `load_rope_table` and `store_q` in vec4, and the pool.
 */
export const placeQuadWgsl = (
  storage: KvStorage,
  lanes: number,
  { heads, kvHeads }: { heads: string; kvHeads: string },
): string => wgsl`${rotateWgsl}
${kvStoreWgsl(storage, lanes, kvHeads)}

/** Quads of a head that rotate: none of V. */
fn rotary_quads(head: u32) -> u32 {
  return select(0u, params.R / 4u, head < ${heads} + ${kvHeads});
}
fn place_quad(row: u32, head: u32, d4: u32, x: vec4<f32>, partner: vec4<f32>, place: vec2<u32>) {
  var y = x;
  if (d4 < rotary_quads(head)) { y = rotate(x, partner, place.x, d4); }
  if (head < ${heads}) {
    store_q((row * ${heads} + head) * (params.H / 4u) + d4, y);
  } else {
    let kv = head - ${heads};
    put_kv(place.y, kv / ${kvHeads}, kv % ${kvHeads}, d4, y);
  }
}`;

const plainHead = wgsl`
fn measure(head: u32, base: u32, lane: u32) {}
fn head_quad(head: u32, base: u32, d4: u32) -> vec4<f32> { return load_qkv(base + d4); }`;

// The order of kernels/rms-norm.ts, with a short last chunk where H is no multiple of 32.
const normedHead = wgsl`
var<workgroup> chunk_sums: array<f32, 8>;
var<workgroup> norm_scale: f32;

fn measure(head: u32, base: u32, lane: u32) {
  let quads = params.H / 4u;
  let chunks = (quads + 7u) / 8u;
  if (head < params.N + params.K && lane < chunks) {
    var sum = 0.0;
    for (var i = lane * 8u; i < min(lane * 8u + 8u, quads); i++) {
      let v = load_qkv(base + i);
      sum = fma(v.x, v.x, sum);
      sum = fma(v.y, v.y, sum);
      sum = fma(v.z, v.z, sum);
      sum = fma(v.w, v.w, sum);
    }
    chunk_sums[lane] = sum;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var total = 0.0;
    for (var i = 0u; i < chunks; i++) { total += chunk_sums[i]; }
    norm_scale = inverseSqrt(total / f32(params.H) + params.eps);
  }
  workgroupBarrier();
}
fn head_quad(head: u32, base: u32, d4: u32) -> vec4<f32> {
  let x = load_qkv(base + d4);
  if (head >= params.N + params.K) { return x; }
  let weight = select(0u, params.H / 4u, head >= params.N);
  return x * norm_scale * load_qk_norm(weight + d4);
}`;

function build({ storage, qkNorm }: RopeKvWriteVariant): Kernel {
  return defineKernel({
    name: `rope_kv_write[${storage}]${qkNorm ? ".qk_norm" : ""}`,
    numerics: `rope_kv_write/${storage}${qkNorm ? "/qk_norm" : ""}`,
    bindings: {
      qkv: read("T,qkv_heads*H", "vec4<f32>"),
      token_places: read("T,2", "vec2<u32>"),
      rope_table: read("C,R", "vec4<f32>"),
      ...(qkNorm ? { qk_norm: read("2,H", "vec4<f32>") } : {}),
      q: write("T,N*H", "vec4<f32>"),
      kv_pool: kvPoolWrite(storage),
    },
    params: { N: "u32", K: "u32", B: "u32", H: "u32", R: "u32", ...(qkNorm ? { eps: "f32" } : {}) },
    wgsl: wgsl`${placeQuadWgsl(storage, ROPE_LANES, { heads: "params.N", kvHeads: "params.K" })}
${qkNorm ? normedHead : plainHead}

var<workgroup> place: vec2<u32>;

@compute @workgroup_size(${ROPE_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let row = wg.x;
  let head = wg.y;
  if (lid.x == 0u) { place = load_token_places(row); }
  workgroupBarrier();
  let quads = params.H / 4u;
  let base = (row * (params.N + 2u * params.K) + head) * quads;
  measure(head, base, lid.x);
  for (var d4 = lid.x; d4 < quads; d4 += ${ROPE_LANES}u) {
    let x = head_quad(head, base, d4);
    var partner = x;
    if (d4 < rotary_quads(head)) { partner = head_quad(head, base, rope_partner(d4)); }
    place_quad(row, head, d4, x, partner, place);
  }
  if (head >= params.N) {
    let kv = head - params.N;
    end_kv_row(place.y, kv / params.K, kv % params.K, lid.x);
  }
}
`,
    workgroups: ({ T, N, K }) => [T, N + 2 * K, 1],
    cost: ({ T, N, K, H, R }) => ({
      flops: T * (N + K) * (3 * R + (qkNorm ? 4 * H : 0)),
      bytes: {
        qkv: 4 * T * ((N + K) * (H + R + (qkNorm ? H : 0)) + K * H),
        token_places: 8 * T * (N + 2 * K),
        rope_table: 8 * T * (N + K) * R,
        ...(qkNorm ? { qk_norm: 4 * T * (N + K) * (H + R) } : {}),
        q: 4 * T * N * H,
        kv_pool: 2 * kvRowBytes(storage, H) * T * K,
      },
    }),
    reference: (io, dims) => {
      const { T, N, K, H, eps } = dims as Record<string, number>;
      for (let t = 0; t < T; t++) {
        for (let head = 0; head < N + 2 * K; head++) {
          const from = (t * (N + 2 * K) + head) * H;
          const x: Float32Array = io.qkv.slice(from, from + H);
          if (qkNorm && head < N + K) normalise(x, io.qk_norm, head < N ? 0 : H, eps);
          placeHeadReference(x, t, head, io, dims);
        }
      }
    },
    probes: [
      { T: 2, N: 2, K: 1, P: 3, B: 16, H: 32, R: 32, C: 9, eps: 1e-2, qkv_heads: 4 },
      { T: 3, N: 3, K: 3, P: 3, B: 32, H: 80, R: 40, C: 70, eps: 1e-5, qkv_heads: 9 },
      { T: 1, N: 1, K: 1, P: 2, B: 32, H: 256, R: 0, C: 1, eps: 1e-6, qkv_heads: 3 },
    ].map((dims) => ({
      dims,
      inputs: (random) => ({
        qkv: normal(dims.T * dims.qkv_heads * dims.H, random),
        token_places: probePlaces(dims, random),
        rope_table: probeTable(dims.H, dims.R, dims.C),
        qk_norm: uniform(2 * dims.H, 0.5, 1.5, random),
      }),
    })),
  });
}

/** The slow twin of `place_quad`, for all quads of a head. */
export function placeHeadReference(
  x: Float32Array,
  row: number,
  head: number,
  { token_places, rope_table, q, kv_pool }: Views,
  { N, K, B, H, R }: Dims,
): void {
  const [position, slot] = token_places.subarray(2 * row, 2 * row + 2);
  const isValue = head >= N + K;
  const rotated = Float32Array.from(x);
  rotateReference(x, 0, rope_table, position, isValue ? 0 : R, (d, y) => {
    rotated[d] = y;
  });
  if (head < N) q.set(rotated, (row * N + head) * H);
  else {
    const sizes = { K, B, H };
    const plane = isValue ? 1 : 0;
    const to = kvRowStart(sizes, Math.floor(slot / B), plane, (head - N) % K, slot % B);
    storeKvRow(kv_pool, sizes, to, rotated);
  }
}

/** In place, rounded to f32 as the unfused kernel stores it. */
function normalise(x: Float32Array, weight: Float32Array, weightFrom: number, eps: number): void {
  const scale = inverseRmsReference(x, eps);
  for (let d = 0; d < x.length; d++) x[d] = x[d] * scale * weight[weightFrom + d];
}

const kernels = Object.fromEntries(
  kvStorages.map((storage) => [
    storage,
    { plain: build({ storage, qkNorm: false }), norm: build({ storage, qkNorm: true }) },
  ]),
) as Record<KvStorage, Record<"plain" | "norm", Kernel>>;

/** Distinct slots, and positions that the table has. */
export function probePlaces(
  { T, P, B, C }: { T: number; P: number; B: number; C: number },
  random: () => number,
): Uint32Array {
  const places = new Uint32Array(2 * T);
  for (const [t, slot] of probeSlots({ T, P, B }).entries()) {
    places.set([Math.floor(random() * C), slot], 2 * t);
  }
  return places;
}
