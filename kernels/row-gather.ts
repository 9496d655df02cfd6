/** Picks rows of an activation: only the rows that are sampled go through the final norm and LM head. */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 64;

/**
 *   x [T,D]  rows [R] u32  → out [R,D]
 *
 * Cost: 4·R·D bytes in and out: memory-bound.
 */
export const rowGather: Kernel = defineKernel({
  name: "row_gather",
  numerics: "row_gather/exact",
  bindings: {
    x: read("T,D", "vec4<f32>"),
    rows: read("R", "u32"),
    out: write("R,D", "vec4<f32>"),
  },
  params: { D: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wg.x * ${LANES}u + lid.x;
  let vectors = params.D / 4u;
  if (column >= vectors) { return; }
  store_out(wg.y * vectors + column, load_x(load_rows(wg.y) * vectors + column));
}
`,
  workgroups: ({ R, D }) => [ceilDiv(D / 4, LANES), R, 1],
  cost: ({ R, D }) => ({
    flops: 0,
    bytes: { x: 4 * R * D, rows: 4 * R * (D / 4), out: 4 * R * D },
  }),
  reference: ({ x, rows, out }, { R, D }) => {
    for (let r = 0; r < R; r++) out.set(x.subarray(rows[r] * D, (rows[r] + 1) * D), r * D);
  },
  tolerance: 0,
  probes: [
    { T: 4, R: 2, D: 64 },
    { T: 3, R: 3, D: 288 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      x: normal(dims.T * dims.D, random),
      rows: Uint32Array.from({ length: dims.R }, () => Math.floor(random() * dims.T)),
    }),
  })),
});
