/**
 * RMS normalisation of each row, scaled by a learnt weight. Few rows are normalised in the prologue
 * of a matrix kernel instead; the residual add before it is the previous matrix kernel's epilogue.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal, uniform } from "./probe.ts";

export const NORM_LANES = 64;

/**
 * `fn inverse_rms(lane, first, size, eps)`: 1 / sqrt(mean(x²) + eps) of the `size` values of x from quad
 * `first` on, right in lane 0.
 * All lanes call it together, 64 or more of them. x² is summed in chunks of 32, chunk sums ascending, so a row's bits
 * depend on that row alone; the last chunk may be short (heads of 80).
 */
export const inverseRmsWgsl = wgsl`
var<workgroup> chunk_squares: array<f32, ${NORM_LANES}>;

fn inverse_rms(lane: u32, first: u32, size: u32, eps: f32) -> f32 {
  let end = first + size / 4u;
  let chunks = (size + 31u) / 32u;
  var total = 0.0;
  for (var base = 0u; base < chunks; base += ${NORM_LANES}u) {
    let chunk = base + lane;
    if (lane < ${NORM_LANES}u && chunk < chunks) {
      var sum = 0.0;
      // Bounds that depend on the lane, so that no compiler unrolls: it only costs build time.
      let start = first + chunk * 8u;
      for (var i = start; i < min(start + 8u, end); i++) {
        let v = load_x(i);
        sum = fma(v.x, v.x, sum);
        sum = fma(v.y, v.y, sum);
        sum = fma(v.z, v.z, sum);
        sum = fma(v.w, v.w, sum);
      }
      chunk_squares[lane] = sum;
    }
    workgroupBarrier();
    if (lane == 0u) {
      for (var i = 0u; i < min(${NORM_LANES}u, chunks - base); i++) { total += chunk_squares[i]; }
    }
    workgroupBarrier();
  }
  return inverseSqrt(total / f32(size) + eps);
}`;

/** The slow twin of `inverse_rms`. */
export function inverseRmsReference(x: Float32Array, eps: number): number {
  let sum = 0;
  for (const value of x) sum += value * value;
  return 1 / Math.sqrt(sum / x.length + eps);
}

/**
 *   x [T,D]  weight [D]  → out [T,D],  out = x · rsqrt(mean(x²) + eps) · weight
 *
 * One workgroup per row. D must be a multiple of 4.
 * Cost: 2·T·D reads (x twice) + T·D weight reads + T·D writes, about 4 flop per element: memory-bound.
 * @see Zhang and Sennrich, arXiv:1910.07467.
 */
export const rmsNorm: Kernel = defineKernel({
  name: "rms_norm",
  numerics: "rms_norm/chunk32",
  bindings: {
    x: read("T,D", "vec4<f32>"),
    weight: read("D", "vec4<f32>"),
    out: write("T,D", "vec4<f32>"),
  },
  params: { T: "u32", D: "u32", eps: "f32" },
  wgsl: wgsl`${inverseRmsWgsl}
var<workgroup> scale: f32;

@compute @workgroup_size(${NORM_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let row = wg.x;
  let lane = lid.x;
  let vectors = params.D / 4u;
  let inverse = inverse_rms(lane, row * vectors, params.D, params.eps);
  if (lane == 0u) { scale = inverse; }
  workgroupBarrier();
  for (var i = lane; i < vectors; i += ${NORM_LANES}u) {
    store_out(row * vectors + i, load_x(row * vectors + i) * scale * load_weight(i));
  }
}
`,
  workgroups: ({ T }) => [T, 1, 1],
  cost: ({ T, D }) => ({
    flops: 4 * T * D,
    bytes: { x: 2 * 4 * T * D, weight: 4 * T * D, out: 4 * T * D },
  }),
  reference: ({ x, weight, out }, { T, D, eps }) => {
    for (let t = 0; t < T; t++) {
      const scale = inverseRmsReference(x.subarray(t * D, (t + 1) * D), eps);
      for (let d = 0; d < D; d++) out[t * D + d] = x[t * D + d] * scale * weight[d];
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
    }),
  })),
});
