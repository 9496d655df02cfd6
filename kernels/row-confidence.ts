/** How sure rows of logits are: the probability of the likeliest id. */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 64;

/**
 *   logits [R,V]  → confidence [R],  1 / Σ exp(logit − largest)
 *
 * Lanes take every 64th id, in ascending order; their sums are added ascending. One workgroup per row. Cost:
 * 8·R·V bytes: memory-bound.
 * @see Schuster et al., "Confident Adaptive Language Modeling", arXiv:2207.07061 §3.2, softmax response.
 */
export const rowConfidence: Kernel = defineKernel({
  name: "row_confidence",
  numerics: "row_confidence/lanes64",
  bindings: {
    logits: read("R,V"),
    confidence: write("R"),
  },
  params: { V: "u32" },
  wgsl: wgsl`
var<workgroup> of_lanes: array<f32, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let first = wg.x * params.V;
  let end = first + params.V;
  var largest = -3.0e38;
  for (var i = first + lane; i < end; i += ${LANES}u) { largest = max(largest, load_logits(i)); }
  of_lanes[lane] = largest;
  workgroupBarrier();
  for (var i = 0u; i < ${LANES}u; i++) { largest = max(largest, of_lanes[i]); }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = first + lane; i < end; i += ${LANES}u) { sum += exp(load_logits(i) - largest); }
  of_lanes[lane] = sum;
  workgroupBarrier();
  if (lane > 0u) { return; }
  var total = 0.0;
  for (var i = 0u; i < ${LANES}u; i++) { total += of_lanes[i]; }
  store_confidence(wg.x, 1.0 / total);
}
`,
  workgroups: ({ R }) => [R, 1, 1],
  cost: ({ R, V }) => ({
    flops: 4 * R * V,
    bytes: { logits: 8 * R * V, confidence: 4 * R },
  }),
  reference: ({ logits, confidence }, { R, V }) => {
    for (let r = 0; r < R; r++) {
      const row = logits.subarray(r * V, (r + 1) * V);
      let largest = Number.NEGATIVE_INFINITY;
      for (const logit of row) largest = Math.max(largest, logit);
      let sum = 0;
      for (const logit of row) sum += Math.exp(logit - largest);
      confidence[r] = 1 / sum;
    }
  },
  tolerance: 1e-5,
  probes: [
    { R: 1, V: 5 },
    { R: 3, V: 131 },
    { R: 2, V: 1024 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({ logits: normal(dims.R * dims.V, random, 4) }),
  })),
});
