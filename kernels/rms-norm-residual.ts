/**
 * RMSNorm of what a block gives, added to the residual stream: the norm after a block. It needs whole
 * rows, so the matrix before it stores them and cannot add them itself.
 */
import { defineKernel, type Kernel, read, readWrite, wgsl } from "./kernel.ts";
import { normal, uniform } from "./probe.ts";
import { inverseRmsReference, inverseRmsWgsl, NORM_LANES } from "./rms-norm.ts";

/**
 *   x [T,D]  weight [D]  out [T,D]  → out + x · rsqrt(mean(x²) + eps) · weight, in place
 *
 * One workgroup per row. D must be a multiple of 4. The product is not rounded before it is added.
 * Cost: 24·T·D bytes: memory-bound.
 * @see OLMo 2, arXiv:2501.00656 §3.2; Gemma 2, arXiv:2408.00118 §2.
 */
export const rmsNormResidual: Kernel = defineKernel({
  name: "rms_norm_residual",
  numerics: "rms_norm/chunk32/residual",
  bindings: {
    x: read("T,D", "vec4<f32>"),
    weight: read("D", "vec4<f32>"),
    out: readWrite("T,D", "vec4<f32>"),
  },
  params: { D: "u32", eps: "f32" },
  wgsl: wgsl`${inverseRmsWgsl}
var<workgroup> scale: f32;

@compute @workgroup_size(${NORM_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let vectors = params.D / 4u;
  let first = wg.x * vectors;
  let inverse = inverse_rms(lid.x, first, params.D, params.eps);
  if (lid.x == 0u) { scale = inverse; }
  workgroupBarrier();
  for (var i = lid.x; i < vectors; i += ${NORM_LANES}u) {
    store_out(first + i, fma(load_x(first + i) * scale, load_weight(i), load_out(first + i)));
  }
}
`,
  workgroups: ({ T }) => [T, 1, 1],
  cost: ({ T, D }) => ({
    flops: 5 * T * D,
    bytes: { x: 8 * T * D, weight: 4 * T * D, out: 8 * T * D },
  }),
  reference: ({ x, weight, out }, { T, D, eps }) => {
    for (let t = 0; t < T; t++) {
      const scale = inverseRmsReference(x.subarray(t * D, (t + 1) * D), eps);
      for (let d = 0; d < D; d++) out[t * D + d] += x[t * D + d] * scale * weight[d];
    }
  },
  probes: [
    { T: 1, D: 32, eps: 1e-6 },
    { T: 3, D: 80, eps: 1e-2 },
    { T: 2, D: 2080, eps: 1e-5 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      x: normal(dims.T * dims.D, random),
      weight: uniform(dims.D, 0.5, 1.5, random),
      out: normal(dims.T * dims.D, random),
    }),
  })),
});
