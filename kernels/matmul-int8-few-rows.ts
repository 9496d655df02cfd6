/**
 * Int8 matrix shapes for one to sixteen rows: the workgroup rounds a block of x to int8 once for all its
 * outputs; each lane takes one chunk of 32 columns of several weight rows by integer dot products,
 * and the chunks' sums meet in workgroup memory, where one lane per sum scales and adds them ascending.
 */
import { STAGED_LOADS, stagedInt8Bytes, stagedInt8Wgsl } from "./int8-activations.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import {
  cutOf,
  type FewRowsSizes,
  finishEach,
  piecesLoop,
  slotRowWgsl,
} from "./matmul-few-rows.ts";
import type { MatmulShape, MatmulShapeName, MatmulWeights } from "./matmul-shape.ts";
import { finishOctetsWgsl, OCTET, totalsWgsl } from "./octets.ts";
import { packedBytes } from "./packed-matrix.ts";
import { stagedBytes, stagedPlanesWgsl } from "./staged-planes.ts";

interface FewInt8Rows extends FewRowsSizes {
  /** That share one read of the weights. */
  readonly numRows: number;
  readonly maxRows: number;
}

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Chunks of x that are rounded at a time: at least one for each lane. */
const blockOf = ({ lanes, chunkLanes, numRows }: FewInt8Rows): number =>
  Math.max(chunkLanes, lanes / numRows);

function source(few: FewInt8Rows, weights: MatmulWeights): string {
  const { format, octets } = weights;
  const { numRows } = few;
  const { lanes, chunkLanes, rowsPerLane, slots, stagedChunks } = cutOf(few, weights);
  const { wgsl: integerWgsl, hasOffset } = format.integer!;
  const block = blockOf(few);
  const sums = slots * numRows;
  const rows = indices(rowsPerLane);
  const each = (line: (r: number, m: number) => string) =>
    rows.flatMap((r) => indices(numRows).map((m) => line(r, m))).join(" ");
  const every = (count: number) => (count > chunkLanes ? `if (base % ${count}u == 0u) ` : "");
  return wgsl`${integerWgsl}
${stagedPlanesWgsl(format, { slots, lanes, block: stagedChunks })}
${stagedInt8Wgsl(numRows * block, hasOffset)}
var<workgroup> chunk_sums: array<i32, ${sums * chunkLanes}>;
${totalsWgsl(slots, numRows)}
${slotRowWgsl(few, weights)}

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let chunk_lane = lid.x % ${chunkLanes}u;
  let slot = lid.x / ${chunkLanes}u * ${rowsPerLane}u;
  group_output = wg.x * ${slots / weights.rowsPerOutput}u;
  let first_row = wg.y * ${numRows}u;
  let num_rows = open_rows(lid.x, first_row);
  let chunks = params.K / 32u;
  ${rows.map((r) => `let row${r} = slot_row(slot + ${r}u);`).join(" ")}
  let sum_slot = lid.x / ${numRows}u;
  let sum_row = lid.x % ${numRows}u;
  var total = 0.0;
  prepare(lid.x, first_row, num_rows);
  for (var base = 0u; base < chunks; base += ${chunkLanes}u) {
    ${every(stagedChunks)}{ stage_planes(lid.x, base); }
    ${every(block)}{
      for (var at = lid.x; at < num_rows * ${block}u; at += ${lanes}u) {
        let chunk = base + at % ${block}u;
        if (chunk < chunks) { stage_x(at, first_row, at / ${block}u, chunk); }
      }
    }
    workgroupBarrier();
    let chunk = base + chunk_lane;
    let place = chunk % ${block}u;
    ${each((r, m) => `var sum${r}_${m} = 0;`)}
    if (chunk < chunks) {
      ${rows.map((r) => `var c${r} = open_chunk(slot + ${r}u, chunk);`).join(" ")}
      ${piecesLoop(format, {
        load: (piece) =>
          rows
            .map((r) => `c${r}.codes = load_weight(piece_at(row${r}, ${piece}, chunk));`)
            .join(" "),
        quad: wgsl`${rows.map((r) => `let w${r} = take4_i8(&c${r}, column % 8u);`).join(" ")}
        let codes = column % 8u * ${numRows * block}u + place;
        ${indices(numRows)
          .map((m) => {
            const x = `let x_${m} = x_codes[codes + ${m * block}u];`;
            const sums = rows.map((r) => `sum${r}_${m} += dot4I8Packed(w${r}, x_${m});`).join(" ");
            return m === 0 ? `${x} ${sums}` : `if (num_rows > ${m}u) { ${x} ${sums} }`;
          })
          .join("\n        ")}`,
      })}
    }
    ${each((r, m) => `chunk_sums[((slot + ${r}u) * ${numRows}u + ${m}u) * ${chunkLanes}u + chunk_lane] = sum${r}_${m};`)}
    workgroupBarrier();
    if (lid.x < ${sums}u && sum_row < num_rows) {
      for (var i = 0u; i < min(${chunkLanes}u, chunks - base); i++) {
        let c = open_chunk(sum_slot, base + i);
        let at = sum_row * ${block}u + (base + i) % ${block}u;
        total = fma(f32(chunk_sums[lid.x * ${chunkLanes}u + i]), x_scales[at] * scale_of(c), total);
        ${hasOffset ? "total = fma(f32(x_sums[at]), x_scales[at] * offset_of(c), total);" : ""}
      }
    }
    workgroupBarrier();
  }
  if (lid.x < ${sums}u) { totals[lid.x] = total; }
  workgroupBarrier();
  ${octets ? finishOctetsWgsl(slots, numRows, lanes) : finishEach(numRows, few, weights)}
}
`;
}

function shape(name: MatmulShapeName, few: FewInt8Rows): MatmulShape {
  const { numRows, maxRows } = few;
  return {
    name,
    anyOrder: false,
    activations: "i8",
    maxRows,
    lanes: few.lanes,
    rowsPerGroup: numRows,
    prologues: ["none", "norm"],
    hasOctets: ((few.lanes / few.chunkLanes) * few.rowsPerLane) % OCTET === 0,
    features: [],
    wgsl: (weights) => source(few, weights),
    workgroups: ({ T, N }, weights) => [
      ceilDiv(weights.rowsPerOutput * N, cutOf(few, weights).slots),
      ceilDiv(T, numRows),
      1,
    ],
    workgroupBytes(weights) {
      const { chunkLanes, slots, stagedChunks } = cutOf(few, weights);
      return (
        4 * slots * numRows * (chunkLanes + 1) +
        stagedBytes(weights.format, slots, stagedChunks) +
        stagedInt8Bytes(numRows * blockOf(few), weights.format.integer!.hasOffset)
      );
    },
    loads({ T, N, K }, weights) {
      const { slots } = cutOf(few, weights);
      const groups = ceilDiv(weights.rowsPerOutput * N, slots);
      return {
        x: STAGED_LOADS * groups * T * K,
        weightBytes: ceilDiv(T, numRows) * packedBytes(weights.format, groups * slots, K),
      };
    },
  };
}

export const int8MatvecShape = shape("gemv_int8", {
  ...{ lanes: 64, chunkLanes: 32, rowsPerLane: 4 },
  ...{ numRows: 1, maxRows: 1 },
});
/** Eight rows share one read of the weights, and two weight rows of a lane its reads of x. */
export const int8SmallMShape = shape("small_m_int8", {
  ...{ lanes: 128, chunkLanes: 16, rowsPerLane: 2 },
  ...{ numRows: 8, maxRows: 16 },
});
