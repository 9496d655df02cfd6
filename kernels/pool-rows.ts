/** Sums of rows, one for each text that becomes an embedding; a text in several chunks adds up. */
import { ceilDiv, defineKernel, type Kernel, read, readWrite, wgsl } from "./kernel.ts";
import { normal } from "./probe.ts";

const LANES = 64;

/**
 *   x [T,D]  spans [S,4] u32  → pooled [P,D] f32
 *
 * A span is (entry of `pooled`, first row, end of rows, 1 where the text begins). Rows are added one by one,
 * ascending, to what the entry holds, so that its bits do not depend on how the text was cut. Spans of a call
 * have entries of their own.
 * Cost: 4 bytes in for each column of the `poolRows` rows in all spans, and 4 for each of the `goneOn` spans
 * that do not begin; memory-bound.
 */
export const poolRows: Kernel = defineKernel({
  name: "pool_rows",
  numerics: "pool_rows/ascending",
  bindings: {
    x: read("T,D", "vec4<f32>"),
    spans: read("S,4", "vec4<u32>"),
    pooled: readWrite("P,D", "vec4<f32>"),
  },
  params: { D: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wg.x * ${LANES}u + lid.x;
  let vectors = params.D / 4u;
  if (column >= vectors) { return; }
  let span = load_spans(wg.y);
  var sum = vec4<f32>(0.0);
  if (span.w == 0u) { sum = load_pooled(span.x * vectors + column); }
  for (var row = span.y; row < span.z; row++) { sum += load_x(row * vectors + column); }
  store_pooled(span.x * vectors + column, sum);
}
`,
  workgroups: ({ S, D }) => [ceilDiv(D / 4, LANES), S, 1],
  cost: ({ S, D, poolRows: rows, goneOn }) => ({
    flops: rows * D,
    bytes: { x: 4 * rows * D, spans: 16 * S * (D / 4), pooled: 4 * (S + goneOn) * D },
  }),
  reference: ({ x, spans, pooled }, { S, D }) => {
    for (let s = 0; s < S; s++) {
      const [entry, from, to, begins] = spans.subarray(4 * s, 4 * s + 4);
      const out = pooled.subarray(entry * D, (entry + 1) * D);
      if (begins) out.fill(0);
      for (let row = from; row < to; row++) {
        for (let d = 0; d < D; d++) out[d] += x[row * D + d];
      }
    }
  },
  probes: [
    { D: 64, spans: [1, 0, 1, 1] },
    { D: 260, spans: [0, 0, 5, 1, 2, 5, 9, 0] },
    { D: 288, spans: [2, 3, 9, 0, 0, 1, 2, 1, 1, 9, 9, 0] },
  ].map(({ D, spans }) => {
    const [S, T, P] = [spans.length / 4, 10, 3];
    const each = Array.from({ length: S }, (_, s) => spans.slice(4 * s, 4 * s + 4));
    const rows = each.reduce((sum, [, from, to]) => sum + to - from, 0);
    const goneOn = each.filter(([, , , begins]) => begins === 0).length;
    return {
      dims: { D, S, T, P, poolRows: rows, goneOn },
      inputs: (random) => ({
        x: normal(T * D, random),
        spans: Uint32Array.from(spans),
        pooled: normal(P * D, random),
      }),
    };
  }),
});
