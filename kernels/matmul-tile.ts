/**
 * Matrix shape for many rows: 32×32 output tiles, one chunk of 32 columns of both operands in
 * workgroup memory at a time, four by four sums per lane in named registers.
 */
import { CHUNK } from "./formats/format.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import type { MatmulShape, MatmulWeights } from "./matmul-shape.ts";
import { directBytes, directPlanesWgsl } from "./packed-matrix.ts";

const TILE = 32;
const LANES = 64;
/** Odd stride: lanes that walk down a column of the staged tile hit different banks. */
const STRIDE = TILE + 1;

const sumsOf = (names: string[]) => names.map((name) => `var ${name} = vec4<f32>();`).join(" ");

const source = ({ format, rowsPerOutput }: MatmulWeights): string => {
  const { pieces } = format;
  /** Quads of a piece. */
  const quads = 8 / pieces;
  const parts = rowsPerOutput === 1 ? ["s"] : ["s", "u"];
  const each = (line: (part: string, index: number) => string) => parts.map(line).join("\n");
  const rows = [0, 1, 2, 3];
  const component = ["x", "y", "z", "w"];
  return wgsl`
${directPlanesWgsl(format)}
var<workgroup> x_tile: array<f32, ${CHUNK * STRIDE}>;
${each((p) => `var<workgroup> ${p}_tile: array<f32, ${CHUNK * STRIDE}>;`)}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let first_output = wg.x * ${TILE}u;
  let first_row = wg.y * ${TILE}u;
  let lane_column = (lid.x % 8u) * 4u;
  let lane_row = (lid.x / 8u) * 4u;
  let vectors = params.K / 4u;
  ${each((p) => sumsOf(rows.map((r) => `${p}${r}`)))}

  for (var chunk = 0u; chunk < params.K / ${CHUNK}u; chunk++) {
    for (var i = lid.x; i < ${(TILE * CHUNK) / 4}u; i += ${LANES}u) {
      let line = i / 8u;
      let column = i % 8u;
      var v = vec4<f32>();
      if (first_row + line < params.T) { v = x4(first_row, line, chunk * 8u + column); }
      for (var k = 0u; k < 4u; k++) { x_tile[(column * 4u + k) * ${STRIDE}u + line] = v[k]; }
    }
    for (var i = lid.x; i < ${TILE * pieces}u; i += ${LANES}u) {
      let line = i / ${pieces}u;
      let piece = i % ${pieces}u;
      ${each(
        (
          p,
          index,
        ) => wgsl`let row_${p} = min(first_output + line, params.N - 1u) + ${index}u * params.N;
      var c_${p} = open_chunk(row_${p}, chunk);
      c_${p}.codes = load_weight(piece_at(row_${p}, piece, chunk));`,
      )}
      for (var quad = piece * ${quads}u; quad < piece * ${quads}u + ${quads}u; quad++) {
        ${each(
          (p) => wgsl`let w_${p} = take4(&c_${p}, quad);
        for (var k = 0u; k < 4u; k++) { ${p}_tile[(quad * 4u + k) * ${STRIDE}u + line] = w_${p}[k]; }`,
        )}
      }
    }
    workgroupBarrier();
    ${each((p) => sumsOf(rows.map((r) => `${p}c${r}`)))}
    for (var k = 0u; k < ${CHUNK}u; k++) {
      let at = k * ${STRIDE}u;
      ${rows.map((r) => `let x${r} = x_tile[at + lane_row + ${r}u];`).join(" ")}
      ${each(
        (p) => `let w_${p} = vec4<f32>(${rows.map((r) => `${p}_tile[at + lane_column + ${r}u]`)});
      ${rows.map((r) => `${p}c${r} = fma(w_${p}, vec4<f32>(x${r}), ${p}c${r});`).join(" ")}`,
      )}
    }
    ${each((p) => rows.map((r) => `${p}${r} += ${p}c${r};`).join(" "))}
    workgroupBarrier();
  }

  ${rows
    .map((r) =>
      component
        .map((c, n) => {
          const sums = parts.map((p) => `${p}${r}.${c}`).join(", ");
          return `if (first_row + lane_row + ${r}u < params.T && first_output + lane_column + ${n}u < params.N) { finish(first_row + lane_row + ${r}u, first_output + lane_column + ${n}u, ${sums}); }`;
        })
        .join("\n  "),
    )
    .join("\n  ")}
}
`;
};

export const tileShape: MatmulShape = {
  name: "tile",
  maxRows: Number.POSITIVE_INFINITY,
  rowsPerGroup: TILE,
  prologues: ["none"],
  hasOctets: false,
  features: [],
  wgsl: source,
  workgroups: ({ T, N }) => [ceilDiv(N, TILE), ceilDiv(T, TILE), 1],
  loads: ({ T, N, K }, { format, rowsPerOutput }) => ({
    x: ceilDiv(N, TILE) * T * K,
    weightBytes:
      ceilDiv(T, TILE) *
      rowsPerOutput *
      ceilDiv(N, TILE) *
      TILE *
      (K / CHUNK) *
      directBytes(format),
  }),
};
