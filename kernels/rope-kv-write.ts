/**
 * RoPE and KV write in one dispatch, from the fused QKV projection, with QK-norm where a model has it.
 * Rounds exactly where its unfused twins round: `rms_norm` over heads, `rope`, `kv_write`.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
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
import { probeTable, ROPE_LANES, rotateReference, rotateWgsl } from "./rope.ts";

export interface RopeKvWriteVariant {
  readonly storage: KvStorage;
  /** RMSNorm of each query and key head before the rotation. */
  readonly qkNorm: boolean;
}

/**
 *   qkv [T,(N+2K)*H]  positions, slot_mapping [T] u32  rope_table [C,R]  qk_norm [2,H] (norm only)
 *   → q [T,N*H],  K and V rows of kv_pool [P,2,K,B,H]
 *
 * One workgroup per head of a row; R = 0 rotates nothing. qk_norm holds the query's weight, then
 * the key's. Cost: about 4·T·(N+K)·(H+3R) + 2·T·K·(2·H + bytes of a row): memory-bound.
 */
export const ropeKvWrite = ({ storage, qkNorm }: RopeKvWriteVariant): Kernel =>
  kernels[storage][qkNorm ? "norm" : "plain"];

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
      positions: read("T", "u32"),
      slot_mapping: read("T", "u32"),
      rope_table: read("C,R", "vec4<f32>"),
      ...(qkNorm ? { qk_norm: read("2,H", "vec4<f32>") } : {}),
      q: write("T,N*H", "vec4<f32>"),
      kv_pool: kvPoolWrite(storage),
    },
    params: { N: "u32", K: "u32", B: "u32", H: "u32", R: "u32", ...(qkNorm ? { eps: "f32" } : {}) },
    wgsl: wgsl`${rotateWgsl}
${kvStoreWgsl(storage, ROPE_LANES)}
${qkNorm ? normedHead : plainHead}

var<workgroup> position: u32;
var<workgroup> slot: u32;

@compute @workgroup_size(${ROPE_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let row = wg.x;
  let head = wg.y;
  let rotary_quads = select(0u, params.R / 4u, head < params.N + params.K);
  if (lid.x == 0u && rotary_quads > 0u) { position = load_positions(row); }
  if (lid.x == 0u && head >= params.N) { slot = load_slot_mapping(row); }
  workgroupBarrier();
  let quads = params.H / 4u;
  let base = (row * (params.N + 2u * params.K) + head) * quads;
  let kv = max(head, params.N) - params.N;
  measure(head, base, lid.x);
  for (var d4 = lid.x; d4 < quads; d4 += ${ROPE_LANES}u) {
    var x = head_quad(head, base, d4);
    if (d4 < rotary_quads) {
      x = rotate(x, head_quad(head, base, rope_partner(d4)), position, d4);
    }
    if (head < params.N) {
      store_q((row * params.N + head) * quads + d4, x);
    } else {
      put_kv(slot, kv / params.K, kv % params.K, d4, x);
    }
  }
  if (head >= params.N) { end_kv_row(slot, kv / params.K, kv % params.K, lid.x); }
}
`,
    workgroups: ({ T, N, K }) => [T, N + 2 * K, 1],
    cost: ({ T, N, K, H, R }) => ({
      flops: T * (N + K) * (3 * R + (qkNorm ? 4 * H : 0)),
      bytes: {
        qkv: 4 * T * ((N + K) * (H + R + (qkNorm ? H : 0)) + K * H),
        positions: R > 0 ? 4 * T * (N + K) : 0,
        slot_mapping: 8 * T * K,
        rope_table: 8 * T * (N + K) * R,
        ...(qkNorm ? { qk_norm: 4 * T * (N + K) * (H + R) } : {}),
        q: 4 * T * N * H,
        kv_pool: 2 * kvRowBytes(storage, H) * T * K,
      },
    }),
    reference: ({ qkv, positions, slot_mapping, rope_table, qk_norm, q, kv_pool }, dims) => {
      const { T, N, K, B, H, R, eps } = dims as Record<string, number>;
      const x = new Float32Array(H);
      const rotated = new Float32Array(H);
      for (let t = 0; t < T; t++) {
        const block = Math.floor(slot_mapping[t] / B);
        for (let head = 0; head < N + 2 * K; head++) {
          const from = (t * (N + 2 * K) + head) * H;
          x.set(qkv.subarray(from, from + H));
          const isValue = head >= N + K;
          if (qkNorm && !isValue) normalise(x, qk_norm, head < N ? 0 : H, eps);
          rotated.set(x);
          rotateReference(x, 0, rope_table, positions[t], isValue ? 0 : R, (d, y) => {
            rotated[d] = y;
          });
          if (head < N) q.set(rotated, (t * N + head) * H);
          else {
            const offset = slot_mapping[t] % B;
            const to = kvRowStart({ K, B, H }, block, isValue ? 1 : 0, (head - N) % K, offset);
            storeKvRow(kv_pool, { K, B, H }, to, rotated);
          }
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
        positions: Uint32Array.from({ length: dims.T }, () => Math.floor(random() * dims.C)),
        slot_mapping: probeSlots(dims),
        rope_table: probeTable(dims.H, dims.R, dims.C),
        qk_norm: uniform(2 * dims.H, 0.5, 1.5, random),
      }),
    })),
  });
}

/** In place, rounded to f32 as the unfused kernel stores it. */
function normalise(x: Float32Array, weight: Float32Array, weightFrom: number, eps: number): void {
  let sum = 0;
  for (const value of x) sum += value * value;
  const scale = 1 / Math.sqrt(sum / x.length + eps);
  for (let d = 0; d < x.length; d++) x[d] = x[d] * scale * weight[weightFrom + d];
}

const kernels = Object.fromEntries(
  kvStorages.map((storage) => [
    storage,
    { plain: build({ storage, qkNorm: false }), norm: build({ storage, qkNorm: true }) },
  ]),
) as Record<KvStorage, Record<"plain" | "norm", Kernel>>;
