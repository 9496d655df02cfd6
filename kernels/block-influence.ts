/**
 * How far a layer, or a sublayer, turns the rows that go through it: the three products that the cosine
 * of a row before and after is made of.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 64;

/**
 *   x [T,D]  y [T,D]  → out [T,3],  out = (x · x, y · y, x · y) of each row
 *
 * Block influence is 1 − mean over rows of x·y / sqrt(x·x · y·y); the host takes the mean, in float64.
 * Products are summed in chunks of 32 by fma, chunk sums ascending. One workgroup per row; D must be a
 * multiple of 4. Cost: 8·T·D bytes: memory-bound.
 * @see ShortGPT, arXiv:2403.03853 §3.2.
 */
export const blockInfluence: Kernel = defineKernel({
  name: "block_influence",
  numerics: "block_influence/chunk32",
  bindings: {
    x: read("T,D", "vec4<f32>"),
    y: read("T,D", "vec4<f32>"),
    out: write("T,3"),
  },
  params: { D: "u32" },
  wgsl: wgsl`
/** Of a chunk: x · x, y · y, x · y. */
var<workgroup> chunk_sums: array<vec3<f32>, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let first = wg.x * params.D / 4u;
  let end = first + params.D / 4u;
  let chunks = (params.D + 31u) / 32u;
  var total = vec3<f32>();
  for (var base = 0u; base < chunks; base += ${LANES}u) {
    let chunk = base + lane;
    if (chunk < chunks) {
      var sum = vec3<f32>();
      // Bounds that depend on the lane, so that no compiler unrolls: it only costs build time.
      let start = first + chunk * 8u;
      for (var i = start; i < min(start + 8u, end); i++) {
        let x = load_x(i);
        let y = load_y(i);
        for (var k = 0u; k < 4u; k++) {
          sum = fma(vec3<f32>(x[k], y[k], x[k]), vec3<f32>(x[k], y[k], y[k]), sum);
        }
      }
      chunk_sums[lane] = sum;
    }
    workgroupBarrier();
    if (lane == 0u) {
      for (var i = 0u; i < min(${LANES}u, chunks - base); i++) { total += chunk_sums[i]; }
    }
    workgroupBarrier();
  }
  if (lane == 0u) {
    for (var k = 0u; k < 3u; k++) { store_out(wg.x * 3u + k, total[k]); }
  }
}
`,
  workgroups: ({ T }) => [T, 1, 1],
  cost: ({ T, D }) => ({
    flops: 6 * T * D,
    bytes: { x: 4 * T * D, y: 4 * T * D, out: 12 * T },
  }),
  reference: ({ x, y, out }, { T, D }) => {
    for (let t = 0; t < T; t++) {
      const sums = [0, 0, 0];
      for (let i = t * D; i < (t + 1) * D; i++) {
        sums[0] += x[i] * x[i];
        sums[1] += y[i] * y[i];
        sums[2] += x[i] * y[i];
      }
      out.set(sums, 3 * t);
    }
  },
  probes: [
    { T: 1, D: 32 },
    { T: 3, D: 80 },
    { T: 2, D: 2080 },
  ].map((dims) => ({
    dims,
    inputs: (random) => {
      const x = normal(dims.T * dims.D, random);
      // A layer adds to its rows, so they stay alike.
      const added = normal(dims.T * dims.D, random, 0.3);
      return { x, y: x.map((value, i) => value + added[i]) };
    },
  })),
});
