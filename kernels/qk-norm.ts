/**
 * RMSNorm of a row's queries together and of its keys together, all heads at once, before RoPE. A norm
 * of each head by itself is in `rope_kv_write`, which has whole heads at hand and no whole rows.
 */
import { defineKernel, type Kernel, read, readWrite, wgsl } from "./kernel.ts";
import { normal, uniform } from "./probe.ts";
import { inverseRmsReference, inverseRmsWgsl, NORM_LANES } from "./rms-norm.ts";

/**
 *   x [T,(N+2K)*H]  weight [(N+K)*H]  → x, its queries and keys normalised in place
 *
 * One workgroup per row for the queries, one for the keys; values stay as they are. H must be a
 * multiple of 4. Cost: 16·T·(N+K)·H bytes: memory-bound.
 * @see OLMo 2, arXiv:2501.00656 §3.2.
 */
export const qkNorm: Kernel = defineKernel({
  name: "qk_norm",
  numerics: "rms_norm/chunk32",
  bindings: {
    x: readWrite("T,qkv_heads*H", "vec4<f32>"),
    weight: read("qk_heads*H", "vec4<f32>"),
  },
  params: { N: "u32", K: "u32", H: "u32", eps: "f32" },
  wgsl: wgsl`${inverseRmsWgsl}
var<workgroup> scale: f32;

@compute @workgroup_size(${NORM_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let quads = params.H / 4u;
  let heads = select(params.N, params.K, wg.y == 1u);
  let skipped = select(0u, params.N, wg.y == 1u);
  let first = (wg.x * (params.N + 2u * params.K) + skipped) * quads;
  let inverse = inverse_rms(lid.x, first, heads * params.H, params.eps);
  if (lid.x == 0u) { scale = inverse; }
  workgroupBarrier();
  for (var i = lid.x; i < heads * quads; i += ${NORM_LANES}u) {
    store_x(first + i, load_x(first + i) * scale * load_weight(skipped * quads + i));
  }
}
`,
  workgroups: ({ T }) => [T, 2, 1],
  cost: ({ T, N, K, H }) => ({
    flops: 4 * T * (N + K) * H,
    bytes: { x: 12 * T * (N + K) * H, weight: 4 * T * (N + K) * H },
  }),
  reference: ({ x, weight }, { T, N, K, H, eps }) => {
    for (let t = 0; t < T; t++) {
      for (const [from, heads] of [
        [0, N],
        [N, K],
      ]) {
        const first = (t * (N + 2 * K) + from) * H;
        const part = x.subarray(first, first + heads * H);
        const scale = inverseRmsReference(part, eps);
        for (let d = 0; d < part.length; d++) part[d] = part[d] * scale * weight[from * H + d];
      }
    }
  },
  probes: [
    { T: 1, N: 1, K: 1, H: 32, eps: 1e-6 },
    { T: 3, N: 4, K: 2, H: 20, eps: 1e-2 },
    { T: 2, N: 17, K: 16, H: 128, eps: 1e-5 },
  ].map((sizes) => {
    const dims = { ...sizes, qk_heads: sizes.N + sizes.K, qkv_heads: sizes.N + 2 * sizes.K };
    return {
      dims,
      inputs: (random) => ({
        x: normal(dims.T * dims.qkv_heads * dims.H, random),
        weight: uniform(dims.qk_heads * dims.H, 0.5, 1.5, random),
      }),
    };
  }),
});
