/**
 * Matrix shapes for one to sixteen rows: each lane takes one chunk of 32 columns of several weight
 * rows, chunk sums meet in workgroup memory and are added ascending by one lane per sum. In any
 * order, a lane adds up its chunks first, and lanes meet once.
 */
import type { WeightFormat } from "./formats/format.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import { gridRowGroups, usedRowGroups } from "./matmul-rows.ts";
import {
  leaveWgsl,
  type MatmulShape,
  type MatmulShapeName,
  type MatmulWeights,
} from "./matmul-shape.ts";
import { finishOctetsWgsl, OCTET, totalsWgsl } from "./octets.ts";
import { packedBytes } from "./packed-matrix.ts";
import { stagedBytes, stagedPlanesWgsl } from "./staged-planes.ts";

export interface FewRowsSizes {
  readonly lanes: 64 | 128 | 256;
  /** Lanes along K; the rest of the workgroup takes other outputs. At least as many as a lane has sums. */
  readonly chunkLanes: 16 | 32 | 64 | 128 | 256;
  /** Weight rows of one lane: x is loaded once for all of them. Two where an output needs two. */
  readonly rowsPerLane: 1 | 2 | 4 | 8;
}

/** Fields are read in whole 16-byte words: of so many chunks, every format has some. */
const LEAST_STAGED_CHUNKS = 32;

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** What follows from the sizes for these weights. */
export function cutOf(
  { lanes, chunkLanes, ...sizes }: FewRowsSizes,
  { rowsPerOutput }: MatmulWeights,
) {
  const rowsPerLane = Math.max(sizes.rowsPerLane, rowsPerOutput);
  return {
    ...{ lanes, chunkLanes, rowsPerLane },
    /** Weight rows of a workgroup. */
    slots: (lanes / chunkLanes) * rowsPerLane,
    stagedChunks: Math.max(LEAST_STAGED_CHUNKS, chunkLanes),
  };
}

interface FewRows extends FewRowsSizes {
  /** That share one read of the weights. */
  readonly numRows: number;
  readonly maxRows: number;
  readonly anyOrder?: boolean;
}

function source(few: FewRows, weights: MatmulWeights): string {
  const { numRows, anyOrder = false, ...sizes } = few;
  const { format, rowsPerOutput } = weights;
  const { lanes, chunkLanes, rowsPerLane, slots, stagedChunks } = cutOf(sizes, weights);
  const outputs = slots / rowsPerOutput;
  const sums = slots * numRows;
  const rows = indices(rowsPerLane);
  const staged = format.planes.length > 0;
  const staging = stagedChunks > chunkLanes ? `if (base % ${stagedChunks}u == 0u) ` : "";
  // Lanes that meet at each turn have read the fields by then.
  const stage = anyOrder
    ? `${staging}{ workgroupBarrier(); stage_planes(lid.x, base); workgroupBarrier(); }`
    : `${staging}{ stage_planes(lid.x, base); } workgroupBarrier();`;
  const each = (line: (r: number, m: number) => string) =>
    rows.flatMap((r) => indices(numRows).map((m) => line(r, m))).join(" ");
  const open = each((r, m) => `var sum${r}_${m} = 0.0;`);
  const add = anyOrder ? dots : fmas;
  const meet = wgsl`${each((r, m) => `chunk_sums[((slot + ${r}u) * ${numRows}u + ${m}u) * ${chunkLanes}u + chunk_lane] = sum${r}_${m};`)}
    workgroupBarrier();
    if (lid.x < ${sums}u) {
      var total = totals[lid.x];
      let first = lid.x * ${chunkLanes}u;
      for (var c = first; c < first + min(${chunkLanes}u, chunks${anyOrder ? "" : " - base"}); c++) { total += chunk_sums[c]; }
      totals[lid.x] = total;
    }
    workgroupBarrier();`;
  return wgsl`
${stagedPlanesWgsl(format, { slots, lanes, block: stagedChunks })}
var<workgroup> chunk_sums: array<f32, ${sums * chunkLanes}>;
${totalsWgsl(slots, numRows)}
${slotRowWgsl(sizes, weights)}

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let chunk_lane = lid.x % ${chunkLanes}u;
  let slot = lid.x / ${chunkLanes}u * ${rowsPerLane}u;
  group_output = wg.x * ${outputs}u;
  let first_row = wg.y * ${numRows}u;
  let num_rows = open_rows(lid.x, first_row);
  ${leaveWgsl(weights)}
  let chunks = params.K / 32u;
  ${rows.map((r) => `let row${r} = slot_row(slot + ${r}u);`).join(" ")}
  if (lid.x < ${sums}u) { totals[lid.x] = 0.0; }
  prepare(lid.x, first_row, num_rows);
  ${anyOrder ? open : ""}
  for (var base = 0u; base < chunks; base += ${chunkLanes}u) {
    ${staged ? stage : ""}
    let chunk = base + chunk_lane;
    ${anyOrder ? "" : open}
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
            const sums = rows.map((r) => add(`sum${r}_${m}`, `w${r}`, `x_${m}`)).join("\n        ");
            return m === 0 ? `${x} ${sums}` : `if (num_rows > ${m}u) { ${x} ${sums} }`;
          })
          .join("\n        ")}`,
      })}
    }
    ${anyOrder ? "" : meet}
  }
  ${anyOrder ? meet : ""}
  ${weights.octets ? finishOctetsWgsl(slots, numRows, lanes) : finishEach(numRows, sizes, weights)}
}
`;
}

/** `group_output`, to be set first, and `fn slot_row(slot)`: the weight row of a slot of the workgroup. */
export function slotRowWgsl(sizes: FewRowsSizes, weights: MatmulWeights): string {
  const { rowsPerLane } = cutOf(sizes, weights);
  const outputsPerLane = rowsPerLane / weights.rowsPerOutput;
  return wgsl`var<private> group_output: u32;

/** A row beyond the last is the last again: what comes of it is not stored. */
fn slot_row(slot: u32) -> u32 {
  let r = slot % ${rowsPerLane}u;
  let output = group_output + slot / ${rowsPerLane}u * ${outputsPerLane}u + r % ${outputsPerLane}u;
  return weight_row(min(output, params.N - 1u)) + r / ${outputsPerLane}u * params.N;
}`;
}

/** One lane per output and row. */
export function finishEach(numRows: number, sizes: FewRowsSizes, weights: MatmulWeights): string {
  const { rowsPerOutput } = weights;
  const { rowsPerLane, slots } = cutOf(sizes, weights);
  const outputsPerLane = rowsPerLane / rowsPerOutput;
  const outputs = slots / rowsPerOutput;
  return wgsl`let m = lid.x / ${outputs}u;
  let own = lid.x % ${outputs}u;
  let output = group_output + own;
  if (m >= num_rows || output >= params.N) { return; }
  let own_slot = own / ${outputsPerLane}u * ${rowsPerLane}u + own % ${outputsPerLane}u;
  let at = own_slot * ${numRows}u + m;
  ${
    rowsPerOutput === 1
      ? "finish(first_row + m, output, totals[at]);"
      : `finish(first_row + m, output, totals[at], totals[at + ${outputsPerLane * numRows}u]);`
  }`;
}

const fmas = (sum: string, w: string, x: string): string =>
  ["x", "y", "z", "w"].map((k) => `${sum} = fma(${w}.${k}, ${x}.${k}, ${sum});`).join(" ");
/** WGSL leaves the order of a `dot` to the driver. */
const dots = (sum: string, w: string, x: string): string => `${sum} += dot(${w}, ${x});`;

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

/** @param name Says the sizes, where they are not those that every device starts with. */
export function fewRowsShape(name: MatmulShapeName, sizes: FewRows): MatmulShape {
  const { numRows, maxRows, anyOrder = false } = sizes;
  return {
    name,
    anyOrder,
    maxRows,
    lanes: sizes.lanes,
    rowsPerGroup: numRows,
    prologues: ["none", "norm"],
    hasOctets: ((sizes.lanes / sizes.chunkLanes) * sizes.rowsPerLane) % OCTET === 0,
    features: [],
    wgsl: (weights) => source(sizes, weights),
    workgroups: (dims, weights) => [
      ceilDiv(weights.rowsPerOutput * dims.N, cutOf(sizes, weights).slots),
      gridRowGroups(dims, numRows),
      1,
    ],
    workgroupBytes(weights) {
      const { lanes, chunkLanes, slots, stagedChunks } = cutOf(sizes, weights);
      const sums = slots * numRows;
      if (sums > lanes) return Number.POSITIVE_INFINITY;
      return 4 * sums * (chunkLanes + 1) + stagedBytes(weights.format, slots, stagedChunks);
    },
    loads(dims, weights) {
      const { T, N, K } = dims;
      const { rowsPerLane, slots } = cutOf(sizes, weights);
      const groups = ceilDiv(weights.rowsPerOutput * N, slots);
      const rowGroups = usedRowGroups(dims, numRows);
      return {
        x: groups * (slots / rowsPerLane) * T * K,
        weightBytes: rowGroups * packedBytes(weights.format, groups * slots, K),
      };
    },
  };
}

const portable = { lanes: 64, chunkLanes: 32, rowsPerLane: 4 } as const;
export const oneRow: FewRows = { ...portable, numRows: 1, maxRows: 1 };
export const fewRows: FewRows = { ...portable, numRows: 8, maxRows: 16 };
export const matvecShape = fewRowsShape("gemv", oneRow);
export const smallMShape = fewRowsShape("small_m", fewRows);
