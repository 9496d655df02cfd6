/**
 * Matrix shapes for processors that play GPU. Such a driver runs a subgroup as one vector and pays a
 * load tens of times what an `fma` costs, whoever loads. So lanes differ in the output, each loads a
 * share of x, and subgroup broadcasts hand it to the others; no workgroup memory, no barrier.
 * Broadcasts move values and never add them: the order of every sum is that of `gemv`.
 */
import { CHUNK } from "./formats/format.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import type { MatmulShape, MatmulWeights } from "./matmul-shape.ts";
import { directBytes, directPlanesWgsl } from "./packed-matrix.ts";

const LANES = 64;
/** Weight rows of one lane: a share of x serves all of them. */
const ROWS_PER_LANE = 2;
/** Rows of x, or its quads in a chunk, that a subgroup holds at a time. */
const SHARES = 8;

/** Lanes that hold shares, of a subgroup that may have more. */
type BroadcastLanes = 4 | 8;

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const ROWS = indices(ROWS_PER_LANE);

/** `fn main` around a body that leaves the sum of weight row r and row m of x in `total{r}_{m}`. */
const entry = (numRows: number, { format, rowsPerOutput }: MatmulWeights, body: string): string => {
  const outputsPerLane = ROWS_PER_LANE / rowsPerOutput;
  const finish = (o: number, m: number) => {
    const sums = indices(rowsPerOutput).map((part) => `total${part * outputsPerLane + o}_${m}`);
    return `if (${m}u < num_rows && output${o} < params.N) { finish(first_row + ${m}u, output${o}, ${sums.join(", ")}); }`;
  };
  return wgsl`
${directPlanesWgsl(format)}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let first_row = wg.y * ${numRows}u;
  let num_rows = min(${numRows}u, params.T - first_row);
  ${indices(outputsPerLane)
    .map((o) => `let output${o} = wg.x * ${LANES * outputsPerLane}u + ${o * LANES}u + lid.x;`)
    .join(" ")}
  // A row beyond the last is the last again: what comes of it is not stored.
  ${ROWS.map((r) => `let row${r} = min(output${r % outputsPerLane}, params.N - 1u) + ${Math.floor(r / outputsPerLane)}u * params.N;`).join(" ")}
  prepare(lid.x, first_row, num_rows);
  ${ROWS.flatMap((r) => indices(numRows).map((m) => `var total${r}_${m} = 0.0;`)).join(" ")}
  for (var chunk = 0u; chunk < params.K / ${CHUNK}u; chunk++) {
    ${ROWS.map((r) => `var c${r} = open_chunk(row${r}, chunk);`).join(" ")}
    ${ROWS.flatMap((r) => indices(numRows).map((m) => `var sum${r}_${m} = 0.0;`)).join(" ")}
    ${body}
    ${ROWS.flatMap((r) => indices(numRows).map((m) => `total${r}_${m} += sum${r}_${m};`)).join(" ")}
  }
  ${indices(outputsPerLane)
    .flatMap((o) => indices(numRows).map((m) => finish(o, m)))
    .join("\n  ")}
}
`;
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
const oneRow = (lanes: BroadcastLanes, weights: MatmulWeights): string => {
  const quads = 8 / weights.format.pieces;
  const quad = (q: number) => wgsl`${q % quads === 0 ? loadPieces(`${q / quads}u`) : ""}
    { ${takeQuads(`${q}u`)} ${multiply(q, lanes, 0)} }`;
  return entry(
    1,
    weights,
    wgsl`${indices(SHARES / lanes)
      .map((i) => `let x${i} = x4(0u, 0u, chunk * 8u + ${i * lanes}u + lane % ${lanes}u);`)
      .join(" ")}
    ${indices(SHARES).map(quad).join("\n    ")}`,
  );
};

/** Eight rows: a lane loads the same quad of another row. */
const eightRows = (lanes: BroadcastLanes, weights: MatmulWeights): string => {
  const quads = 8 / weights.format.pieces;
  const shares = indices(SHARES / lanes)
    .map(
      (i) =>
        wgsl`let x${i} = x4(first_row, min(${i * lanes}u + lane % ${lanes}u, num_rows - 1u), column);`,
    )
    .join(" ");
  // Bounds that no compiler knows, so that none unrolls: it only costs build time.
  return entry(
    SHARES,
    weights,
    wgsl`let end = min(chunk * 8u + 8u, params.K / 4u);
    for (var first = chunk * 8u; first < end; first += ${quads}u) {
      ${loadPieces(`first % 8u / ${quads}u`)}
      for (var column = first; column < min(first + ${quads}u, end); column++) {
        ${takeQuads("column % 8u")} ${shares}
        ${indices(SHARES)
          .map((m) => `{ ${multiply(m, lanes, m)} }`)
          .join("\n        ")}
      }
    }`,
  );
};

const shape = (lanes: BroadcastLanes, numRows: 1 | 8): MatmulShape => {
  const groups = (N: number, rowsPerOutput: number) =>
    ceilDiv(rowsPerOutput * N, LANES * ROWS_PER_LANE);
  return {
    name: `${numRows === 1 ? "gemv" : "tile"}_broadcast${lanes}`,
    maxRows: numRows === 1 ? 1 : Number.POSITIVE_INFINITY,
    rowsPerGroup: numRows,
    prologues: ["none", "norm"],
    features: ["subgroups"],
    wgsl: (weights) => (numRows === 1 ? oneRow : eightRows)(lanes, weights),
    workgroups: ({ T, N }, { rowsPerOutput }) => [groups(N, rowsPerOutput), ceilDiv(T, numRows), 1],
    loads: ({ T, N, K }, { format, rowsPerOutput }) => {
      const allLanes = groups(N, rowsPerOutput) * ceilDiv(T, numRows) * LANES;
      return {
        x: (allLanes * K * numRows) / lanes,
        weightBytes: allLanes * ROWS_PER_LANE * (K / CHUNK) * directBytes(format),
      };
    },
  };
};

/** For subgroups of exactly 4 lanes, or of 8 and more. */
export const broadcastShapes = {
  gemv_broadcast4: shape(4, 1),
  tile_broadcast4: shape(4, 8),
  gemv_broadcast8: shape(8, 1),
  tile_broadcast8: shape(8, 8),
};
