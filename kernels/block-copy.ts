/**
 * Copies whole blocks within one layer's pool: the partly filled block that a fork goes on from.
 * Moves bits, whatever their storage; which blocks, the scheduler decides.
 */
import { ceilDiv, defineKernel, type Kernel, read, readWrite, wgsl } from "./kernel.ts";

const LANES = 64;

/**
 *   kv_pool [P,W] u32, W words per block; copies [N,2] u32: from, to  → kv_pool, of which N blocks
 *
 * One thread per 16 bytes. Cost: 2·4·N·W bytes in and out: memory-bound.
 * No block may be both source and target, nor target twice: all copies run at once.
 */
export const blockCopy: Kernel = defineKernel({
  name: "block_copy",
  numerics: "block_copy/exact",
  bindings: {
    copies: read("N,2", "vec2<u32>"),
    kv_pool: readWrite("P,W", "vec4<u32>"),
  },
  params: { W: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let vectors = params.W / 4u;
  let at = wg.x * ${LANES}u + lid.x;
  if (at >= vectors) { return; }
  let blocks = load_copies(wg.y);
  store_kv_pool(blocks.y * vectors + at, load_kv_pool(blocks.x * vectors + at));
}
`,
  workgroups: ({ N, W }) => [ceilDiv(W / 4, LANES), N, 1],
  cost: ({ N, W }) => ({ flops: 0, bytes: { copies: 2 * N * W, kv_pool: 8 * N * W } }),
  reference: ({ copies, kv_pool }, { N, W }) => {
    for (let n = 0; n < N; n++) {
      const from = copies[2 * n] * W;
      kv_pool.copyWithin(copies[2 * n + 1] * W, from, from + W);
    }
  },
  tolerance: 0,
  probes: [
    { P: 4, W: 64, copies: [1, 3] },
    { P: 7, W: 1028, copies: [2, 6, 2, 1, 5, 4] },
  ].map(({ copies, ...dims }) => ({
    dims: { ...dims, N: copies.length / 2 },
    inputs: (random) => ({
      copies: Uint32Array.from(copies),
      // Any bits: infinities and NaN are moved like other values.
      kv_pool: Uint32Array.from({ length: dims.P * dims.W }, () => random() * 2 ** 32),
    }),
  })),
});
