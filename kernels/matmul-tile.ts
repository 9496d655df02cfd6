/**
 * Matrix shape for many rows: a tile of outputs × rows, one chunk of 32 columns of both operands in
 * workgroup memory at a time, some of the sums per lane, in named registers.
 */
import { CHUNK } from "./formats/format.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import { gridRowGroups, usedRowGroups } from "./matmul-rows.ts";
import {
  leaveWgsl,
  type MatmulShape,
  type MatmulShapeName,
  type MatmulWeights,
} from "./matmul-shape.ts";
import { directBytes, directPlanesWgsl } from "./packed-matrix.ts";

export interface TileSizes {
  /** Of a workgroup. */
  readonly outputs: 32 | 64;
  readonly rows: 16 | 32 | 64;
  /** Of a lane: their product is the number of its sums. */
  readonly laneOutputs: 4 | 8;
  readonly laneRows: 2 | 4 | 8;
  /** Without sums of chunks: half the registers. */
  readonly anyOrder?: boolean;
}

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const sumsOf = (names: string[]) => names.map((name) => `var ${name} = vec4<f32>();`).join(" ");

/**
 * Column k of a staged tile holds its lines with their fours swapped about: lanes that walk down a
 * column or along it hit different banks, and no memory is spent on padding.
 */
const swap = (k: string, lines: number): string => `(${k} & ${(lines - 1) & (CHUNK - 4)}u)`;

function source(sizes: TileSizes, weights: MatmulWeights): string {
  const { format, rowsPerOutput } = weights;
  const { outputs, rows, laneOutputs, laneRows, anyOrder = false } = sizes;
  const { pieces } = format;
  const laneColumns = outputs / laneOutputs;
  const lanes = laneColumns * (rows / laneRows);
  /** Quads of a piece. */
  const quads = 8 / pieces;
  const parts = rowsPerOutput === 1 ? ["s"] : ["s", "u"];
  const each = (line: (part: string, index: number) => string) => parts.map(line).join("\n");
  const ownRows = indices(laneRows);
  const fours = indices(laneOutputs / 4);
  const sums = (part: string) => ownRows.flatMap((r) => fours.map((f) => `${part}${r}_${f}`));
  /** What a column of the tile is added to. */
  const growing = (part: string) => (anyOrder ? part : `${part}c`);
  return wgsl`
${directPlanesWgsl(format)}
var<workgroup> x_tile: array<f32, ${CHUNK * rows}>;
${each((p) => `var<workgroup> ${p}_tile: array<f32, ${CHUNK * outputs}>;`)}

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let first_output = wg.x * ${outputs}u;
  let first_row = wg.y * ${rows}u;
  let num_rows = open_rows(lid.x, first_row);
  ${leaveWgsl(weights)}
  let lane_column = (lid.x % ${laneColumns}u) * ${laneOutputs}u;
  let lane_row = (lid.x / ${laneColumns}u) * ${laneRows}u;
  ${each((p) => sumsOf(sums(p)))}

  for (var chunk = 0u; chunk < params.K / ${CHUNK}u; chunk++) {
    for (var i = lid.x; i < ${(rows * CHUNK) / 4}u; i += ${lanes}u) {
      let line = i / 8u;
      let column = i % 8u;
      var v = vec4<f32>();
      if (line < num_rows) { v = x4(first_row, line, chunk * 8u + column); }
      let at = column * ${4 * rows}u + (line ^ ${swap("(4u * column)", rows)});
      for (var k = 0u; k < 4u; k++) { x_tile[at + k * ${rows}u] = v[k]; }
    }
    for (var i = lid.x; i < ${outputs * pieces}u; i += ${lanes}u) {
      let line = i / ${pieces}u;
      let piece = i % ${pieces}u;
      ${each(
        (
          p,
          index,
        ) => wgsl`let row_${p} = weight_row(min(first_output + line, params.N - 1u)) + ${index}u * params.N;
      var c_${p} = open_chunk(row_${p}, chunk);
      c_${p}.codes = load_weight(piece_at(row_${p}, piece, chunk));`,
      )}
      for (var quad = piece * ${quads}u; quad < piece * ${quads}u + ${quads}u; quad++) {
        let at = quad * ${4 * outputs}u + (line ^ ${swap("(4u * quad)", outputs)});
        ${each(
          (p) => wgsl`let w_${p} = take4(&c_${p}, quad);
        for (var k = 0u; k < 4u; k++) { ${p}_tile[at + k * ${outputs}u] = w_${p}[k]; }`,
        )}
      }
    }
    workgroupBarrier();
    ${anyOrder ? "" : each((p) => sumsOf(sums(growing(p))))}
    for (var k = 0u; k < ${CHUNK}u; k++) {
      ${indices(Math.ceil(laneRows / 4))
        .map((f) => `let x_at${f} = k * ${rows}u + ((lane_row + ${4 * f}u) ^ ${swap("k", rows)});`)
        .join(" ")}
      ${ownRows.map((r) => `let x${r} = x_tile[x_at${r >> 2} + ${r % 4}u];`).join(" ")}
      ${fours
        .map((f) => {
          const at = `let w_at${f} = k * ${outputs}u + ((lane_column + ${4 * f}u) ^ ${swap("k", outputs)});`;
          const sums = each(
            (
              p,
            ) => `let w_${p}${f} = vec4<f32>(${indices(4).map((i) => `${p}_tile[w_at${f} + ${i}u]`)});
      ${ownRows.map((r) => `${growing(p)}${r}_${f} = fma(w_${p}${f}, vec4<f32>(x${r}), ${growing(p)}${r}_${f});`).join(" ")}`,
          );
          return `${at}\n      ${sums}`;
        })
        .join("\n      ")}
    }
    ${
      anyOrder
        ? ""
        : each((p) =>
            sums(p)
              .map((sum) => `${sum} += ${sum.replace(p, growing(p))};`)
              .join(" "),
          )
    }
    workgroupBarrier();
  }

  ${ownRows
    .flatMap((r) =>
      indices(laneOutputs).map((n) => {
        const component = ["x", "y", "z", "w"][n % 4];
        const finished = parts.map((p) => `${p}${r}_${n >> 2}.${component}`).join(", ");
        return `if (lane_row + ${r}u < num_rows && first_output + lane_column + ${n}u < params.N) { finish(first_row + lane_row + ${r}u, first_output + lane_column + ${n}u, ${finished}); }`;
      }),
    )
    .join("\n  ")}
}
`;
}

export function tileOf(name: MatmulShapeName, sizes: TileSizes): MatmulShape {
  const { outputs, rows, laneOutputs, laneRows, anyOrder = false } = sizes;
  return {
    name,
    anyOrder,
    maxRows: Number.POSITIVE_INFINITY,
    lanes: (outputs / laneOutputs) * (rows / laneRows),
    rowsPerGroup: rows,
    prologues: ["none"],
    hasOctets: false,
    features: [],
    wgsl: (weights) => source(sizes, weights),
    workgroups: (dims) => [ceilDiv(dims.N, outputs), gridRowGroups(dims, rows), 1],
    workgroupBytes: ({ rowsPerOutput }) => 4 * CHUNK * (rows + rowsPerOutput * outputs),
    loads: (dims, { format, rowsPerOutput }) => ({
      x: ceilDiv(dims.N, outputs) * dims.T * dims.K,
      weightBytes:
        usedRowGroups(dims, rows) *
        rowsPerOutput *
        ceilDiv(dims.N, outputs) *
        outputs *
        (dims.K / CHUNK) *
        directBytes(format),
    }),
  };
}

export const portableTile: TileSizes = { outputs: 32, rows: 32, laneOutputs: 4, laneRows: 4 };
export const tileShape = tileOf("tile", portableTile);
