/**
 * Int8 matrix shape for many rows: a tile of outputs × rows; some chunks of 32 columns of both operands
 * lie in workgroup memory at a time as codes and scales, and each lane keeps 4 × 4 of the sums.
 */
import { CHUNK } from "./formats/format.ts";
import { STAGED_LOADS, stagedInt8Bytes, stagedInt8Wgsl } from "./int8-activations.ts";
import { ceilDiv, wgsl } from "./kernel.ts";
import { piecesLoop } from "./matmul-few-rows.ts";
import type { MatmulShape, MatmulWeights } from "./matmul-shape.ts";
import { directPlanesWgsl } from "./packed-matrix.ts";

/** Of a workgroup. */
const OUTPUTS = 64;
const ROWS = 32;
/** Sums of a lane, along each side; they lie apart, so that neighbours read neighbouring words. */
const SIDE = 4;
const LANE_COLUMNS = OUTPUTS / SIDE;
const LANE_ROWS = ROWS / SIDE;
const LANES = LANE_COLUMNS * LANE_ROWS;

const SIDES = Array.from({ length: SIDE }, (_, i) => i);

/** Chunks that are staged at a time: where an output needs two weight rows, fewer fit. */
const depthOf = ({ rowsPerOutput }: MatmulWeights): number => 4 / rowsPerOutput;

function source(weights: MatmulWeights): string {
  const { format, rowsPerOutput } = weights;
  const { wgsl: integerWgsl, hasOffset } = format.integer!;
  const depth = depthOf(weights);
  const lines = depth * OUTPUTS;
  const parts = rowsPerOutput === 1 ? ["s"] : ["s", "u"];
  const each = (line: (part: string, index: number) => string) => parts.map(line).join("\n");
  const perRow = (line: (r: number) => string) => SIDES.map(line).join(" ");
  const scaled = (sum: string, ints: string, x: string, w: string) =>
    `${sum} = fma(vec4<f32>(${ints}), ${x} * ${w}, ${sum});`;
  const four = (from: (n: number) => string, type: string) =>
    `vec4<${type}>(${SIDES.map(from).join(", ")})`;
  const perOutput = (array: string) =>
    four((n) => `${array}[outputs_at + ${n * LANE_COLUMNS}u]`, "f32");
  return wgsl`${integerWgsl}
${directPlanesWgsl(format)}
${stagedInt8Wgsl(depth * ROWS, hasOffset)}
${each((p) => {
  const offsets = hasOffset ? `var<workgroup> ${p}_offsets: array<f32, ${lines}>;` : "";
  return wgsl`var<workgroup> ${p}_codes: array<u32, ${8 * lines}>;
var<workgroup> ${p}_scales: array<f32, ${lines}>; ${offsets}`;
})}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let first_output = wg.x * ${OUTPUTS}u;
  let first_row = wg.y * ${ROWS}u;
  let lane_column = lid.x % ${LANE_COLUMNS}u;
  let lane_row = lid.x / ${LANE_COLUMNS}u;
  let chunks = params.K / ${CHUNK}u;
  ${each((p) => perRow((r) => `var ${p}${r} = vec4<f32>();`))}

  for (var base = 0u; base < chunks; base += ${depth}u) {
    let depth = min(${depth}u, chunks - base);
    for (var i = lid.x; i < ${depth * ROWS}u; i += ${LANES}u) {
      let d = i / ${ROWS}u;
      let line = i % ${ROWS}u;
      if (d < depth && first_row + line < params.T) { stage_x(i, first_row, line, base + d); }
    }
    for (var i = lid.x; i < ${lines}u; i += ${LANES}u) {
      let chunk = base + i / ${OUTPUTS}u;
      if (chunk >= chunks) { continue; }
      let row = min(first_output + i % ${OUTPUTS}u, params.N - 1u);
      ${each(
        (p, index) => wgsl`{
        var c = open_chunk(row + ${index}u * params.N, chunk);
        ${p}_scales[i] = scale_of(c);
        ${hasOffset ? `${p}_offsets[i] = offset_of(c);` : ""}
        ${piecesLoop(format, {
          load: (piece) =>
            `c.codes = load_weight(piece_at(row + ${index}u * params.N, ${piece}, chunk));`,
          quad: `${p}_codes[column % 8u * ${lines}u + i] = take4_i8(&c, column % 8u);`,
        })}
      }`,
      )}
    }
    workgroupBarrier();
    for (var d = 0u; d < depth; d++) {
      let rows_at = d * ${ROWS}u + lane_row;
      let outputs_at = d * ${OUTPUTS}u + lane_column;
      ${each((p) => perRow((r) => `var ${p}i${r} = vec4<i32>();`))}
      for (var quad = 0u; quad < 8u; quad++) {
        ${perRow((r) => `let x${r} = x_codes[quad * ${depth * ROWS}u + rows_at + ${r * LANE_ROWS}u];`)}
        ${each((p) => {
          const at = `quad * ${lines}u + outputs_at`;
          const codes = SIDES.map(
            (n) => `let ${p}w${n} = ${p}_codes[${at} + ${n * LANE_COLUMNS}u];`,
          );
          const dots = perRow(
            (r) => `${p}i${r} += ${four((n) => `dot4I8Packed(${p}w${n}, x${r})`, "i32")};`,
          );
          return `${codes.join(" ")}\n        ${dots}`;
        })}
      }
      ${perRow((r) => `let x_scale${r} = x_scales[rows_at + ${r * LANE_ROWS}u];`)}
      ${each((p) => {
        const scales = `let ${p}_scale = ${perOutput(`${p}_scales`)};`;
        return `${scales} ${perRow((r) => scaled(`${p}${r}`, `${p}i${r}`, `x_scale${r}`, `${p}_scale`))}`;
      })}
      ${
        hasOffset
          ? each((p) => {
              const offsets = `let ${p}_offset = ${perOutput(`${p}_offsets`)};`;
              const sum = (r: number) => `vec4<i32>(x_sums[rows_at + ${r * LANE_ROWS}u])`;
              return `${offsets} ${perRow((r) => scaled(`${p}${r}`, sum(r), `x_scale${r}`, `${p}_offset`))}`;
            })
          : ""
      }
    }
    workgroupBarrier();
  }

  ${SIDES.flatMap((r) =>
    SIDES.map((n) => {
      const row = `first_row + lane_row + ${r * LANE_ROWS}u`;
      const output = `first_output + lane_column + ${n * LANE_COLUMNS}u`;
      const sums = parts.map((p) => `${p}${r}.${"xyzw"[n]}`).join(", ");
      return `if (${row} < params.T && ${output} < params.N) { finish(${row}, ${output}, ${sums}); }`;
    }),
  ).join("\n  ")}
}
`;
}

export const int8TileShape: MatmulShape = {
  name: "tile_int8",
  anyOrder: false,
  activations: "i8",
  maxRows: Number.POSITIVE_INFINITY,
  lanes: LANES,
  rowsPerGroup: ROWS,
  prologues: ["none"],
  hasOctets: false,
  features: [],
  wgsl: source,
  workgroups: ({ T, N }) => [ceilDiv(N, OUTPUTS), ceilDiv(T, ROWS), 1],
  workgroupBytes(weights) {
    const { hasOffset } = weights.format.integer!;
    const depth = depthOf(weights);
    const lines = depth * OUTPUTS * weights.rowsPerOutput;
    return stagedInt8Bytes(depth * ROWS, hasOffset) + 4 * lines * (hasOffset ? 10 : 9);
  },
  loads: ({ T, N, K }, { format, rowsPerOutput }) => ({
    x: STAGED_LOADS * ceilDiv(N, OUTPUTS) * T * K,
    weightBytes:
      ceilDiv(T, ROWS) *
      rowsPerOutput *
      ceilDiv(N, OUTPUTS) *
      OUTPUTS *
      (K / CHUNK) *
      16 *
      (format.pieces + format.fieldReads),
  }),
};
