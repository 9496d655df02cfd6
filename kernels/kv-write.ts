/**
 * Scatter of new K and V rows into the block pool.
 * Slow twin of the write in `rope_kv_write`; rounds to the pool's storage and nowhere else.
 */
import { defineKernel, type Kernel, read, wgsl } from "./kernel.ts";
import {
  type KvStorage,
  kvPoolWrite,
  kvRowBytes,
  kvRowStart,
  kvStorages,
  kvStoreWgsl,
  storeKvRow,
} from "./kv-layout.ts";
import { normal } from "./probe.ts";

const LANES = 32;
/** A spread of values that reaches beyond f16. */
const SATURATING = 4e4;

/**
 *   k, v [T,K*H]  slot_mapping [T] u32  → kv_pool [P,2,K,B,H] at block slot / B, offset slot % B
 *
 * One workgroup per head of K and of V of a row. Cost: 2·T·K·(4·H + bytes of a row): memory-bound.
 * Two rows with one slot race: only the trash block may be named twice.
 */
export const kvWrite = (storage: KvStorage): Kernel => kernels[storage];

const build = (storage: KvStorage): Kernel =>
  defineKernel({
    name: `kv_write[${storage}]`,
    numerics: `kv_write/${storage}`,
    bindings: {
      k: read("T,K*H", "vec4<f32>"),
      v: read("T,K*H", "vec4<f32>"),
      slot_mapping: read("T", "u32"),
      kv_pool: kvPoolWrite(storage),
    },
    params: { K: "u32", B: "u32", H: "u32" },
    wgsl: wgsl`${kvStoreWgsl(storage, LANES)}

var<workgroup> slot: u32;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  if (lid.x == 0u) { slot = load_slot_mapping(wg.x); }
  workgroupBarrier();
  let quads = params.H / 4u;
  let base = (wg.x * params.K + wg.y) * quads;
  for (var d4 = lid.x; d4 < quads; d4 += ${LANES}u) {
    var x: vec4<f32>;
    if (wg.z == 0u) { x = load_k(base + d4); } else { x = load_v(base + d4); }
    put_kv(slot, wg.z, wg.y, d4, x);
  }
  end_kv_row(slot, wg.z, wg.y, lid.x);
}
`,
    workgroups: ({ T, K }) => [T, K, 2],
    cost: ({ T, K, H }) => ({
      flops: 0,
      bytes: {
        k: 4 * T * K * H,
        v: 4 * T * K * H,
        slot_mapping: 8 * T * K,
        kv_pool: 2 * kvRowBytes(storage, H) * T * K,
      },
    }),
    reference: ({ k, v, slot_mapping, kv_pool }, sizes) => {
      const { T, K, B, H } = sizes as Record<string, number>;
      const dims = { K, B, H };
      for (let t = 0; t < T; t++) {
        const block = Math.floor(slot_mapping[t] / B);
        const offset = slot_mapping[t] % B;
        for (let head = 0; head < K; head++) {
          for (const [plane, x] of [k, v].entries()) {
            const to = kvRowStart(dims, block, plane as 0 | 1, head, offset);
            const from = (t * K + head) * H;
            storeKvRow(kv_pool, dims, to, x.subarray(from, from + H));
          }
        }
      }
    },
    probes: [
      { T: 2, P: 3, K: 1, B: 16, H: 32 },
      { T: 5, P: 4, K: 3, B: 32, H: 80, scale: SATURATING },
    ].map(({ scale = 1, ...dims }) => ({
      dims,
      inputs: (random) => ({
        k: normal(dims.T * dims.K * dims.H, random, scale),
        v: normal(dims.T * dims.K * dims.H, random, scale),
        slot_mapping: probeSlots(dims),
      }),
    })),
  });

const kernels = Object.fromEntries(
  kvStorages.map((storage) => [storage, build(storage)]),
) as Record<KvStorage, Kernel>;

/** Distinct slots that leave block 0 alone and cross a block's border. */
export const probeSlots = ({ T, P, B }: { T: number; P: number; B: number }): Uint32Array =>
  Uint32Array.from({ length: T }, (_, t) => B + ((B - 1 + t * (B + 1)) % ((P - 1) * B)));
