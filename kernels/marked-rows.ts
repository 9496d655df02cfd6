/** Copies those rows that are marked: what has left off is kept, and comes back. */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 64;

/**
 *   x [T,D]  marks [R] u32  → out [T,D], of which some of the first R rows
 *
 * Rows whose mark is `mark`, or with `mark` 0 those that have any. Cost: of C rows that are copied, 4·C·D
 * bytes in and out, and R·D for the marks.
 */
export const markedRows: Kernel = defineKernel({
  name: "marked_rows",
  numerics: "marked_rows/exact",
  bindings: {
    x: read("T,D", "vec4<f32>"),
    marks: read("R", "u32"),
    out: write("T,D", "vec4<f32>"),
  },
  params: { D: "u32", mark: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wg.x * ${LANES}u + lid.x;
  let vectors = params.D / 4u;
  if (column >= vectors) { return; }
  let mark = load_marks(wg.y);
  if (mark == 0u || (params.mark != 0u && mark != params.mark)) { return; }
  let at = wg.y * vectors + column;
  store_out(at, load_x(at));
}
`,
  workgroups: ({ R, D }) => [ceilDiv(D / 4, LANES), R, 1],
  cost: ({ R, C, D }) => ({ flops: 0, bytes: { x: 4 * C * D, marks: R * D, out: 4 * C * D } }),
  reference: ({ x, marks, out }, { R, D, mark }) => {
    for (let r = 0; r < R; r++) {
      if (marks[r] === 0 || (mark !== 0 && marks[r] !== mark)) continue;
      out.set(x.subarray(r * D, (r + 1) * D), r * D);
    }
  },
  tolerance: 0,
  probes: [
    { T: 4, R: 3, C: 2, D: 64, mark: 0 },
    { T: 5, R: 5, C: 1, D: 288, mark: 2 },
    { T: 2, R: 2, C: 0, D: 32, mark: 7 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      x: normal(dims.T * dims.D, random),
      marks: Uint32Array.from({ length: dims.R }, (_, r) => r % 3),
    }),
  })),
});
