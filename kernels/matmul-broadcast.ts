/**
 * Matrix shapes for processors that play GPU. Such a driver runs a subgroup as one vector and pays a
 * load tens of times what an `fma` costs, whoever loads. So lanes differ in the output, each loads a
 * share of x, and subgroup broadcasts hand it to the others; no workgroup memory, no barrier.
 * Broadcasts move values and never add them: the order of every sum is that of `gemv`.
 */
import { CHUNK, type WeightFormat } from "./formats/format.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import { gridRowGroups, usedRowGroups } from "./matmul-rows.ts";
import { leaveWgsl, type MatmulShape, type MatmulWeights } from "./matmul-shape.ts";
import { finishOctetsWgsl, totalsWgsl } from "./octets.ts";
import { directPlanesWgsl } from "./packed-matrix.ts";
import type { Prologue } from "./prologue.ts";

const LANES = 64;
/** Weight rows of one lane: a share of x serves all of them. */
const ROWS_PER_LANE = 2;
/** Quads in a chunk of one row. */
const QUADS = 8;

/** Lanes that hold shares, of a subgroup that may have more. */
type BroadcastLanes = 4 | 8;

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const ROWS = indices(ROWS_PER_LANE);

/**
 * `fn main` around a body that adds a chunk's products of weight row r and row m of x to
 * `sum{r}_{m}`. In any order, there are no other sums.
 */
const entry = (
  { perGroup: numRows, anyOrder }: Rows,
  weights: MatmulWeights,
  body: string,
): string => {
  const total = anyOrder ? "sum" : "total";
  const opened = (name: string) =>
    ROWS.flatMap((r) => indices(numRows).map((m) => `var ${name}${r}_${m} = 0.0;`)).join(" ");
  const { format, rowsPerOutput, octets } = weights;
  const outputsPerLane = ROWS_PER_LANE / rowsPerOutput;
  const finish = (o: number, m: number) => {
    const sums = indices(rowsPerOutput).map((part) => `${total}${part * outputsPerLane + o}_${m}`);
    return `if (${m}u < num_rows && output${o} < params.N) { finish(first_row + ${m}u, output${o}, ${sums.join(", ")}); }`;
  };
  const each = (line: (o: number, m: number) => string) =>
    indices(outputsPerLane)
      .flatMap((o) => indices(numRows).map((m) => line(o, m)))
      .join("\n  ");
  return wgsl`
${directPlanesWgsl(format)}
${octets ? totalsWgsl(LANES * ROWS_PER_LANE, numRows) : ""}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let first_row = wg.y * ${numRows}u;
  let num_rows = open_rows(lid.x, first_row);
  ${leaveWgsl(weights)}
  ${indices(outputsPerLane)
    .map((o) => `let output${o} = wg.x * ${LANES * outputsPerLane}u + ${o * LANES}u + lid.x;`)
    .join(" ")}
  // A row beyond the last is the last again: what comes of it is not stored.
  ${ROWS.map((r) => `let row${r} = weight_row(min(output${r % outputsPerLane}, params.N - 1u)) + ${Math.floor(r / outputsPerLane)}u * params.N;`).join(" ")}
  prepare(lid.x, first_row, num_rows);
  ${opened(total)}
  for (var chunk = 0u; chunk < params.K / ${CHUNK}u; chunk++) {
    ${ROWS.map((r) => `var c${r} = open_chunk(row${r}, chunk);`).join(" ")}
    ${anyOrder ? "" : opened("sum")}
    ${body}
    ${anyOrder ? "" : ROWS.flatMap((r) => indices(numRows).map((m) => `total${r}_${m} += sum${r}_${m};`)).join(" ")}
  }
  ${octets ? inOctets(numRows, total) : each(finish)}
}
`;
};

const inOctets = (numRows: number, total: string): string => {
  const keep = (r: number, m: number) =>
    `totals[(${r * LANES}u + lid.x) * ${numRows}u + ${m}u] = ${total}${r}_${m};`;
  return wgsl`${ROWS.flatMap((r) => indices(numRows).map((m) => keep(r, m))).join(" ")}
  workgroupBarrier();
  let group_output = wg.x * ${LANES * ROWS_PER_LANE}u;
  ${finishOctetsWgsl(LANES * ROWS_PER_LANE, numRows, LANES)}`;
};

const loadPieces = (piece: string): string =>
  ROWS.map((r) => `c${r}.codes = load_weight(piece_at(row${r}, ${piece}, chunk));`).join(" ");
const takeQuads = (quad: string): string =>
  ROWS.map((r) => `let w${r} = take4(&c${r}, ${quad});`).join(" ");
/** Four columns of row m of x, all of them held by the lane that has the share. */
const multiply = (share: number, lanes: BroadcastLanes, m: number): string => {
  const sums = ROWS.flatMap((r) =>
    ["x", "y", "z", "w"].map((k) => `sum${r}_${m} = fma(w${r}.${k}, b.${k}, sum${r}_${m});`),
  );
  return `let b = subgroupBroadcast(x${Math.floor(share / lanes)}, ${share % lanes}u); ${sums.join(" ")}`;
};

/** One row: a lane loads a quad of the chunk. */
const oneRow = (lanes: BroadcastLanes, rows: Rows, weights: MatmulWeights): string => {
  const quads = QUADS / weights.format.pieces;
  const quad = (q: number) => wgsl`${q % quads === 0 ? loadPieces(`${q / quads}u`) : ""}
    { ${takeQuads(`${q}u`)} ${multiply(q, lanes, 0)} }`;
  return entry(
    rows,
    weights,
    wgsl`${indices(QUADS / lanes)
      .map((i) => `let x${i} = x4(first_row, 0u, chunk * 8u + ${i * lanes}u + lane % ${lanes}u);`)
      .join(" ")}
    ${indices(QUADS).map(quad).join("\n    ")}`,
  );
};

/** Several rows: a lane loads the same quad of another row. */
const severalRows = (lanes: BroadcastLanes, rows: Rows, weights: MatmulWeights): string => {
  const numRows = rows.perGroup;
  const quads = QUADS / weights.format.pieces;
  const shares = indices(numRows / lanes)
    .map(
      (i) =>
        `let x${i} = x4(first_row, min(${i * lanes}u + lane % ${lanes}u, num_rows - 1u), column);`,
    )
    .join(" ");
  // Bounds that no compiler knows, so that none unrolls: it only costs build time.
  return entry(
    rows,
    weights,
    wgsl`let end = min(chunk * 8u + 8u, params.K / 4u);
    for (var first = chunk * 8u; first < end; first += ${quads}u) {
      ${loadPieces(`first % 8u / ${quads}u`)}
      for (var column = first; column < min(first + ${quads}u, end); column++) {
        ${takeQuads("column % 8u")} ${shares}
        ${indices(numRows)
          .map((m) => `{ ${multiply(m, lanes, m)} }`)
          .join("\n        ")}
      }
    }`,
  );
};

/** A chunk is opened once, and then its pieces are read. */
const chunkBytes = ({ pieces, fieldReads }: WeightFormat): number => 16 * (pieces + fieldReads);

interface Rows {
  readonly name: "gemv" | "small_m" | "tile";
  readonly perGroup: number;
  readonly max: number;
  /** The norm is done anew in each workgroup: for few rows that costs less than a dispatch. */
  readonly prologues: readonly Prologue[];
  readonly anyOrder?: boolean;
}
const ONE: Rows = { name: "gemv", perGroup: 1, max: 1, prologues: ["none", "norm"] };
const FEW: Rows = { name: "small_m", perGroup: 8, max: 16, prologues: ["none", "norm"] };
const MANY: Omit<Rows, "perGroup"> = {
  name: "tile",
  max: Number.POSITIVE_INFINITY,
  prologues: ["none"],
};

const shape = (lanes: BroadcastLanes, rows: Rows): MatmulShape => {
  const { name, perGroup, max, prologues, anyOrder = false } = rows;
  const groups = (N: number, rowsPerOutput: number) =>
    ceilDiv(rowsPerOutput * N, LANES * ROWS_PER_LANE);
  return {
    name: `${name}_broadcast${lanes}${anyOrder ? "_any" : ""}`,
    anyOrder,
    maxRows: max,
    lanes: LANES,
    rowsPerGroup: perGroup,
    prologues,
    hasOctets: prologues.includes("norm"),
    features: ["subgroups"],
    wgsl: (weights) =>
      perGroup === 1 ? oneRow(lanes, rows, weights) : severalRows(lanes, rows, weights),
    workgroups: (dims, { rowsPerOutput }) => [
      groups(dims.N, rowsPerOutput),
      gridRowGroups(dims, perGroup),
      1,
    ],
    workgroupBytes: ({ octets }) => (octets ? 4 * LANES * ROWS_PER_LANE * perGroup : 0),
    loads: (dims, { format, rowsPerOutput }) => {
      const { N, K } = dims;
      const allLanes = groups(N, rowsPerOutput) * usedRowGroups(dims, perGroup) * LANES;
      return {
        x: (allLanes * K * perGroup) / lanes,
        weightBytes: allLanes * ROWS_PER_LANE * (K / CHUNK) * chunkBytes(format),
      };
    },
  };
};

/** With 4 lanes what a lane loads serves fewer, so of many rows a workgroup takes twice as many. */
const manyFor = (lanes: BroadcastLanes): Rows => ({ ...MANY, perGroup: lanes === 4 ? 16 : 8 });

/** For subgroups of exactly 4 lanes, or of 8 and more. */
export const broadcastShapes = {
  gemv_broadcast4: shape(4, ONE),
  small_m_broadcast4: shape(4, FEW),
  tile_broadcast4: shape(4, manyFor(4)),
  gemv_broadcast8: shape(8, ONE),
  small_m_broadcast8: shape(8, FEW),
  tile_broadcast8: shape(8, manyFor(8)),
};

export const anyOrderBroadcastShapes: readonly MatmulShape[] = ([4, 8] as const).flatMap((lanes) =>
  [ONE, FEW, manyFor(lanes)].map((rows) => shape(lanes, { ...rows, anyOrder: true })),
);
