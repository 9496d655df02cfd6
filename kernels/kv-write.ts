/**
 * Scatter of new K and V rows into the block pool.
 * Slow twin of the write in `rope_kv_write`; rounds to the pool's storage and nowhere else.
 */
import { ceilDiv, defineKernel, type Kernel, read, wgsl } from "./kernel.ts";
import {
  type KvStorage,
  kvBytes,
  kvPoolWrite,
  kvRowStart,
  kvStorages,
  kvStoreWgsl,
  kvWriter,
} from "./kv-layout.ts";
import { normal } from "./probe.ts";

const LANES = 64;
/** A spread of values that reaches beyond f16. */
const SATURATING = 4e4;

/**
 *   k, v [T,K*H]  slot_mapping [T] u32  → kv_pool [P,2,K,B,H] at block slot / B, offset slot % B
 *
 * One thread per quad of K and of V. Cost: 2·T·K·H·(4 + bytes of the storage): memory-bound.
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
    wgsl: wgsl`${kvStoreWgsl(storage)}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let quads = params.H / 4u;
  let column = wg.y * ${LANES}u + lid.x;
  if (column >= params.K * quads) { return; }
  let at = wg.x * params.K * quads + column;
  let slot = load_slot_mapping(wg.x);
  store_kv_row(slot, 0u, column / quads, column % quads, load_k(at));
  store_kv_row(slot, 1u, column / quads, column % quads, load_v(at));
}
`,
    workgroups: ({ T, K, H }) => [T, ceilDiv((K * H) / 4, LANES), 1],
    cost: ({ T, K, H }) => ({
      flops: 0,
      bytes: {
        k: 4 * T * K * H,
        v: 4 * T * K * H,
        slot_mapping: T * K * H,
        kv_pool: 2 * kvBytes(storage) * T * K * H,
      },
    }),
    reference: ({ k, v, slot_mapping, kv_pool }, dims) => {
      const { T, K, B, H } = dims as Record<string, number>;
      const store = kvWriter(kv_pool);
      for (let t = 0; t < T; t++) {
        const block = Math.floor(slot_mapping[t] / B);
        for (let head = 0; head < K; head++) {
          const toKey = kvRowStart({ K, B, H }, block, 0, head, slot_mapping[t] % B);
          const toValue = kvRowStart({ K, B, H }, block, 1, head, slot_mapping[t] % B);
          for (let d = 0; d < H; d++) {
            store(toKey + d, k[(t * K + head) * H + d]);
            store(toValue + d, v[(t * K + head) * H + d]);
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
