/** Copies rows between two activations, from anywhere to anywhere: rows that wait between two plans. */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 64;

/**
 *   x [T,D]  from_rows, to_rows [R] u32  → out [P,D], of which R rows
 *
 * Cost: 4·R·D bytes in and out: memory-bound. Two rows with one destination race.
 */
export const rowCopy: Kernel = defineKernel({
  name: "row_copy",
  numerics: "row_copy/exact",
  bindings: {
    x: read("T,D", "vec4<f32>"),
    from_rows: read("R", "u32"),
    to_rows: read("R", "u32"),
    out: write("P,D", "vec4<f32>"),
  },
  params: { D: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wg.x * ${LANES}u + lid.x;
  let vectors = params.D / 4u;
  if (column >= vectors) { return; }
  let value = load_x(load_from_rows(wg.y) * vectors + column);
  store_out(load_to_rows(wg.y) * vectors + column, value);
}
`,
  workgroups: ({ R, D }) => [ceilDiv(D / 4, LANES), R, 1],
  cost: ({ R, D }) => ({
    flops: 0,
    bytes: { x: 4 * R * D, from_rows: R * D, to_rows: R * D, out: 4 * R * D },
  }),
  reference: ({ x, from_rows, to_rows, out }, { R, D }) => {
    for (let r = 0; r < R; r++)
      out.set(x.subarray(from_rows[r] * D, (from_rows[r] + 1) * D), to_rows[r] * D);
  },
  tolerance: 0,
  probes: [
    { T: 4, R: 2, P: 5, D: 64 },
    { T: 3, R: 3, P: 3, D: 288 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      x: normal(dims.T * dims.D, random),
      from_rows: Uint32Array.from({ length: dims.R }, () => Math.floor(random() * dims.T)),
      to_rows: Uint32Array.from({ length: dims.R }, (_, r) => dims.P - 1 - r),
    }),
  })),
});
