/**
 * Matrix shapes for one to sixteen rows: each lane takes one chunk of 32 columns of several weight
 * rows, chunk sums meet in workgroup memory and are added ascending by one lane per sum.
 */
import { ceilDiv, wgsl } from "./kernel.ts";
import type { MatmulShape } from "./matmul-shape.ts";

const LANES = 64;
/** Lanes along K; the rest of the workgroup takes other outputs. */
const CHUNK_LANES = 32;
/** Outputs of one lane: x is loaded once for all of them. */
const OUTPUTS_PER_LANE = 4;
const OUTPUTS = (LANES / CHUNK_LANES) * OUTPUTS_PER_LANE;

const source = (rowsPerGroup: number, perOutput: 1 | 2): string => {
  const weightRows = OUTPUTS_PER_LANE * perOutput;
  const sums = OUTPUTS * perOutput * rowsPerGroup;
  return wgsl`
const ROWS = ${rowsPerGroup}u;
const SUMS = ${sums}u;
var<workgroup> chunk_sums: array<f32, ${sums * CHUNK_LANES}>;
var<workgroup> totals: array<f32, ${sums}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let chunk_lane = lid.x % ${CHUNK_LANES}u;
  let lane_group = lid.x / ${CHUNK_LANES}u;
  let first_output = wg.x * ${OUTPUTS}u + lane_group * ${OUTPUTS_PER_LANE}u;
  let first_row = wg.y * ROWS;
  let num_rows = min(ROWS, params.T - first_row);
  let chunks = params.K / 32u;
  let vectors = params.K / 4u;
  if (lid.x < SUMS) { totals[lid.x] = 0.0; }
  prepare(lid.x, first_row, num_rows);

  for (var base = 0u; base < chunks; base += ${CHUNK_LANES}u) {
    let chunk = base + chunk_lane;
    var sums = array<f32, ${weightRows * rowsPerGroup}>();
    if (chunk < chunks) {
      // Bounds that depend on the lane, so that no compiler unrolls: unrolled, llvmpipe takes 7 s of
      // processor time to build the gemv, as it stands 1.4 s.
      for (var column = chunk * 8u; column < chunk * 8u + 8u; column++) {
        var x = array<vec4<f32>, ${rowsPerGroup}>();
        for (var m = 0u; m < num_rows; m++) { x[m] = x4(first_row, m, column); }
        for (var r = 0u; r < ${weightRows}u; r++) {
          let output = first_output + r % ${OUTPUTS_PER_LANE}u;
          var w = vec4<f32>();
          if (output < params.N) {
            w = weights4((output + (r / ${OUTPUTS_PER_LANE}u) * params.N) * vectors + column);
          }
          for (var m = 0u; m < ROWS; m++) {
            var sum = sums[r * ROWS + m];
            sum = fma(w.x, x[m].x, sum);
            sum = fma(w.y, x[m].y, sum);
            sum = fma(w.z, x[m].z, sum);
            sum = fma(w.w, x[m].w, sum);
            sums[r * ROWS + m] = sum;
          }
        }
      }
    }
    for (var s = 0u; s < ${weightRows * rowsPerGroup}u; s++) {
      chunk_sums[(lane_group * ${weightRows * rowsPerGroup}u + s) * ${CHUNK_LANES}u + chunk_lane] = sums[s];
    }
    workgroupBarrier();
    if (lid.x < SUMS) {
      var total = totals[lid.x];
      let first = lid.x * ${CHUNK_LANES}u;
      for (var c = first; c < first + min(${CHUNK_LANES}u, chunks - base); c++) { total += chunk_sums[c]; }
      totals[lid.x] = total;
    }
    workgroupBarrier();
  }

  // One lane per output and row.
  let m = lid.x / ${OUTPUTS}u;
  let output_in_group = lid.x % ${OUTPUTS}u;
  let output = wg.x * ${OUTPUTS}u + output_in_group;
  if (m >= num_rows || output >= params.N) { return; }
  let group = output_in_group / ${OUTPUTS_PER_LANE}u;
  let at = (group * ${weightRows}u + output_in_group % ${OUTPUTS_PER_LANE}u) * ROWS + m;
  ${
    perOutput === 1
      ? "finish(first_row + m, output, totals[at]);"
      : `finish(first_row + m, output, totals[at], totals[at + ${OUTPUTS_PER_LANE}u * ROWS]);`
  }
}
`;
};

const fewRows = (name: "gemv" | "small_m", rowsPerGroup: number, maxRows: number): MatmulShape => ({
  name,
  maxRows,
  rowsPerGroup,
  prologues: ["none", "norm"],
  features: [],
  wgsl: (perOutput) => source(rowsPerGroup, perOutput),
  workgroups: ({ T, N }) => [ceilDiv(N, OUTPUTS), ceilDiv(T, rowsPerGroup), 1],
  loads: ({ T, N, K }, perOutput) => ({
    x: ceilDiv(N, OUTPUTS) * (OUTPUTS / OUTPUTS_PER_LANE) * T * K,
    weights: ceilDiv(T, rowsPerGroup) * perOutput * N * K,
  }),
});

export const matvecShape = fewRows("gemv", 1, 1);
/** Four rows share one read of the weights; sixteen rows read them four times, out of cache. */
export const smallMShape = fewRows("small_m", 4, 16);
