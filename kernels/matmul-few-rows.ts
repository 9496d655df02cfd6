/**
 * Matrix shapes for one to sixteen rows: each lane takes one chunk of 32 columns of several weight
 * rows, chunk sums meet in workgroup memory and are added ascending by one lane per sum.
 */
import type { WeightFormat } from "./formats/format.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import type { MatmulShape, MatmulWeights } from "./matmul-shape.ts";
import { finishOctetsWgsl, OCTET, totalsWgsl } from "./octets.ts";
import { packedBytes } from "./packed-matrix.ts";
import { stagedPlanesWgsl } from "./staged-planes.ts";

const LANES = 64;
/** Lanes along K; the rest of the workgroup takes other outputs. */
const CHUNK_LANES = 32;
/** Weight rows of one lane: x is loaded once for all of them. */
const ROWS_PER_LANE = 4;
/** Weight rows of a workgroup. */
const SLOTS = (LANES / CHUNK_LANES) * ROWS_PER_LANE;

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function source(numRows: number, weights: MatmulWeights): string {
  const { format, rowsPerOutput } = weights;
  const outputsPerLane = ROWS_PER_LANE / rowsPerOutput;
  const outputs = SLOTS / rowsPerOutput;
  const sums = SLOTS * numRows;
  const rows = indices(ROWS_PER_LANE);
  const staged = format.planes.length > 0;
  const each = (line: (r: number, m: number) => string) =>
    rows.flatMap((r) => indices(numRows).map((m) => line(r, m))).join(" ");
  return wgsl`
${stagedPlanesWgsl(format, SLOTS, CHUNK_LANES)}
var<workgroup> chunk_sums: array<f32, ${sums * CHUNK_LANES}>;
${totalsWgsl(SLOTS, numRows)}
var<private> group_output: u32;

/** A row beyond the last is the last again: what comes of it is not stored. */
fn slot_row(slot: u32) -> u32 {
  let r = slot % ${ROWS_PER_LANE}u;
  let output = group_output + slot / ${ROWS_PER_LANE}u * ${outputsPerLane}u + r % ${outputsPerLane}u;
  return weight_row(min(output, params.N - 1u)) + r / ${outputsPerLane}u * params.N;
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let chunk_lane = lid.x % ${CHUNK_LANES}u;
  let slot = lid.x / ${CHUNK_LANES}u * ${ROWS_PER_LANE}u;
  group_output = wg.x * ${outputs}u;
  let first_row = wg.y * ${numRows}u;
  let num_rows = min(${numRows}u, params.T - first_row);
  let chunks = params.K / 32u;
  ${rows.map((r) => `let row${r} = slot_row(slot + ${r}u);`).join(" ")}
  if (lid.x < ${sums}u) { totals[lid.x] = 0.0; }
  prepare(lid.x, first_row, num_rows);

  for (var base = 0u; base < chunks; base += ${CHUNK_LANES}u) {
    ${staged ? "stage_planes(lid.x, base); workgroupBarrier();" : ""}
    let chunk = base + chunk_lane;
    ${each((r, m) => `var sum${r}_${m} = 0.0;`)}
    if (chunk < chunks) {
      ${rows.map((r) => `var c${r} = open_chunk(${staged ? `slot + ${r}u` : `row${r}`}, chunk);`).join(" ")}
      ${piecesLoop(format, {
        load: (piece) =>
          rows
            .map((r) => `c${r}.codes = load_weight(piece_at(row${r}, ${piece}, chunk));`)
            .join(" "),
        quad: wgsl`${rows.map((r) => `let w${r} = take4(&c${r}, column % 8u);`).join(" ")}
        ${indices(numRows)
          .map((m) => {
            const x = `let x_${m} = x4(first_row, ${m}u, column);`;
            const sums = rows
              .map((r) => fmas(`sum${r}_${m}`, `w${r}`, `x_${m}`))
              .join("\n        ");
            return m === 0 ? `${x} ${sums}` : `if (num_rows > ${m}u) { ${x} ${sums} }`;
          })
          .join("\n        ")}`,
      })}
    }
    ${each((r, m) => `chunk_sums[((slot + ${r}u) * ${numRows}u + ${m}u) * ${CHUNK_LANES}u + chunk_lane] = sum${r}_${m};`)}
    workgroupBarrier();
    if (lid.x < ${sums}u) {
      var total = totals[lid.x];
      let first = lid.x * ${CHUNK_LANES}u;
      for (var c = first; c < first + min(${CHUNK_LANES}u, chunks - base); c++) { total += chunk_sums[c]; }
      totals[lid.x] = total;
    }
    workgroupBarrier();
  }

  ${weights.octets ? finishOctetsWgsl(SLOTS, numRows, LANES) : finishEach(numRows, weights)}
}
`;
}

/** One lane per output and row. */
function finishEach(numRows: number, { rowsPerOutput }: MatmulWeights): string {
  const outputsPerLane = ROWS_PER_LANE / rowsPerOutput;
  const outputs = SLOTS / rowsPerOutput;
  return wgsl`let m = lid.x / ${outputs}u;
  let own = lid.x % ${outputs}u;
  let output = group_output + own;
  if (m >= num_rows || output >= params.N) { return; }
  let own_slot = own / ${outputsPerLane}u * ${ROWS_PER_LANE}u + own % ${outputsPerLane}u;
  let at = own_slot * ${numRows}u + m;
  ${
    rowsPerOutput === 1
      ? "finish(first_row + m, output, totals[at]);"
      : `finish(first_row + m, output, totals[at], totals[at + ${outputsPerLane * numRows}u]);`
  }`;
}

const fmas = (sum: string, w: string, x: string): string =>
  ["x", "y", "z", "w"].map((k) => `${sum} = fma(${w}.${k}, ${x}.${k}, ${sum});`).join(" ");

/**
 * Walks through a chunk: `load` for each of its pieces, `quad` for each four columns, `column`. Bounds
 * depend on the lane, so that no compiler unrolls: it only costs build time (docs/decisions.md).
 */
export function piecesLoop(
  { pieces }: WeightFormat,
  { load, quad }: { load: (piece: string) => string; quad: string },
): string {
  const quads = 8 / pieces;
  if (pieces === 1) {
    return wgsl`${load("0u")}
      for (var column = chunk * 8u; column < chunk * 8u + 8u; column++) {
        ${quad}
      }`;
  }
  return wgsl`for (var first = chunk * 8u; first < chunk * 8u + 8u; first += ${quads}u) {
        ${load(`(first % 8u) / ${quads}u`)}
        ${
          quads === 1
            ? `let column = first;\n        ${quad}`
            : `for (var column = first; column < first + ${quads}u; column++) {\n        ${quad}\n        }`
        }
      }`;
}

const fewRows = (name: "gemv" | "small_m", numRows: number, maxRows: number): MatmulShape => ({
  name,
  maxRows,
  rowsPerGroup: numRows,
  prologues: ["none", "norm"],
  hasOctets: SLOTS % OCTET === 0,
  features: [],
  wgsl: (weights) => source(numRows, weights),
  workgroups: ({ T, N }, { rowsPerOutput }) => [
    ceilDiv(rowsPerOutput * N, SLOTS),
    ceilDiv(T, numRows),
    1,
  ],
  loads: ({ T, N, K }, { format, rowsPerOutput }) => {
    const groups = ceilDiv(rowsPerOutput * N, SLOTS);
    const rowGroups = ceilDiv(T, numRows);
    return {
      x: groups * (SLOTS / ROWS_PER_LANE) * T * K,
      weightBytes: rowGroups * packedBytes(format, groups * SLOTS, K),
    };
  },
});

export const matvecShape = fewRows("gemv", 1, 1);
/** Eight rows share one read of the weights. */
export const smallMShape = fewRows("small_m", 8, 16);
