/** Means of a prompt's rows over a few windows: what a router of layers sees of it. */
import { ceilDiv, type Dims, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 64;
/** A shorter prompt has a window for each of its rows. */
export const MAX_WINDOWS = 8;

export const numWindows = (numRows: number): number => Math.min(MAX_WINDOWS, numRows);

/**
 *   x [T,D], of which rows [first_row, first_row + n)  → out [D,8]
 *
 * W = min(8, n) windows of ⌊n / W⌋ rows each, side by side from the first; up to W − 1 rows at the end are
 * in none. Of each dim its means, then 0 for windows that are not there. Rows are added ascending in chunks of 32, chunk sums ascending, then divided. A thread per quad
 * of dims. Cost: 4·n·D bytes: memory-bound.
 * @see Dr.LLM, arXiv:2510.12773 §3.
 */
export const windowMeans: Kernel = defineKernel({
  name: "window_means",
  numerics: "window_means/chunk32",
  bindings: { x: read("T,D", "vec4<f32>"), out: write(`D,${MAX_WINDOWS}`) },
  params: { first_row: "u32", n: "u32", D: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wg.x * ${LANES}u + lid.x;
  let quads = params.D / 4u;
  if (column >= quads) { return; }
  let windows = min(${MAX_WINDOWS}u, params.n);
  let rows = params.n / windows;
  let first = params.first_row + wg.y * rows;
  let end = select(first, first + rows, wg.y < windows);
  var total = vec4<f32>();
  for (var start = first; start < end; start += 32u) {
    var sum = vec4<f32>();
    for (var row = start; row < min(start + 32u, end); row++) {
      sum += load_x(row * quads + column);
    }
    total += sum;
  }
  let mean = total / f32(rows);
  for (var k = 0u; k < 4u; k++) { store_out((4u * column + k) * ${MAX_WINDOWS}u + wg.y, mean[k]); }
}
`,
  workgroups: ({ D }) => [ceilDiv(D / 4, LANES), MAX_WINDOWS, 1],
  cost: ({ n, D }) => ({
    flops: n * D,
    bytes: { x: 4 * pooledRows(n) * D, out: 4 * MAX_WINDOWS * D },
  }),
  reference: ({ x, out }, { first_row, n, D }) => {
    const rows = pooledRows(n) / numWindows(n);
    out.fill(0);
    for (let w = 0; w < numWindows(n); w++) {
      for (let d = 0; d < D; d++) {
        let sum = 0;
        for (let r = 0; r < rows; r++) sum += x[(first_row + w * rows + r) * D + d];
        out[d * MAX_WINDOWS + w] = sum / rows;
      }
    }
  },
  probes: [
    { T: 1, first_row: 0, n: 1, D: 32 },
    { T: 9, first_row: 2, n: 5, D: 260 },
    { T: 31, first_row: 4, n: 23, D: 64 },
    { T: 600, first_row: 1, n: 599, D: 36 },
  ].map((dims) => windowMeansProbe(dims)),
});

/** Those that are in a window. */
const pooledRows = (n: number): number => n - (n % numWindows(n));

function windowMeansProbe(dims: Dims) {
  return { dims, inputs: (random: () => number) => ({ x: normal(dims.T * dims.D, random) }) };
}
