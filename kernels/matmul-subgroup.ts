/**
 * Matrix shape for one row where subgroups have one known size. Lanes hold chunk sums as in `gemv`;
 * they meet by shuffles, without workgroup memory and barriers. Subgroups move values and never add
 * them, so the order of the sum, and with it every bit, is that of `gemv`.
 */
import { ceilDiv, wgsl } from "./kernel.ts";
import { piecesLoop } from "./matmul-few-rows.ts";
import { gridRowGroups } from "./matmul-rows.ts";
import {
  leaveWgsl,
  type MatmulShape,
  type MatmulWeights,
  type SubgroupSize,
} from "./matmul-shape.ts";
import { finishOctetsWgsl, totalsWgsl } from "./octets.ts";
import { packedBytes } from "./packed-matrix.ts";
import { stagedBytes, stagedPlanesWgsl } from "./staged-planes.ts";

const LANES = 64;
/** Outputs of a workgroup, whatever the size of its subgroups: so the host need not know it. */
const OUTPUTS = 8;
/** A subgroup has 8 blocks of lanes; a total passes through them in order. */
const BLOCKS = 8;
/** Chunks whose fields are staged at a time. */
const STAGED_CHUNKS = 64;

const source = (size: SubgroupSize, weights: MatmulWeights): string => {
  const { format, rowsPerOutput, octets } = weights;
  /** Outputs of a subgroup, chunks of a block, and lanes of a block: all the same number. */
  const outputs = size / BLOCKS;
  const parts = rowsPerOutput === 1 ? ["s"] : ["s", "u"];
  const index = Array.from({ length: outputs }, (_, i) => i);
  const each = (line: (part: string, offset: number) => string) => parts.map(line).join("\n");
  const eachRow = (line: (row: string, slot: string) => string) =>
    parts
      .flatMap((p, part) => index.map((i) => line(`${p}${i}`, `slot + ${part * OUTPUTS + i}u`)))
      .join(" ");
  const staged = format.planes.length > 0;
  const fields = staged ? "slot" : "row";
  return wgsl`
${octets ? totalsWgsl(OUTPUTS, 1) : ""}
${stagedPlanesWgsl(format, { slots: OUTPUTS * rowsPerOutput, lanes: LANES, block: STAGED_CHUNKS })}
var<private> group_output: u32;

/** A row beyond the last is the last again: what comes of it is not stored. */
fn slot_row(slot: u32) -> u32 {
  return weight_row(min(group_output + slot % ${OUTPUTS}u, params.N - 1u)) + slot / ${OUTPUTS}u * params.N;
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  group_output = wg.x * ${OUTPUTS}u;
  let first_row = wg.y;
  let num_rows = open_rows(lid.x, first_row);
  ${leaveWgsl(weights)}
  let slot = lid.x / ${size}u * ${outputs}u;
  let block = lane / ${outputs}u;
  let own = lane % ${outputs}u;
  let chunks = params.K / 32u;
  ${eachRow((row, at) => `let row_${row} = slot_row(${at}); let slot_${row} = ${at};`)}
  ${each((p) => `var ${p}_total = 0.0;`)}
  prepare(lid.x, first_row, 1u);

  for (var base = 0u; base < chunks; base += ${size}u) {
    ${
      staged
        ? wgsl`if (base % ${STAGED_CHUNKS}u == 0u) {
      workgroupBarrier();
      stage_planes(lid.x, base);
      workgroupBarrier();
    }`
        : ""
    }
    ${eachRow((row) => `var ${row} = 0.0;`)}
    let chunk = base + lane;
    if (chunk < chunks) {
      ${eachRow((row) => `var c_${row} = open_chunk(${fields}_${row}, chunk);`)}
      ${piecesLoop(format, {
        load: (piece) =>
          eachRow((row) => `c_${row}.codes = load_weight(piece_at(row_${row}, ${piece}, chunk));`),
        quad: wgsl`let x = x4(first_row, 0u, column);
        ${eachRow(
          (row) =>
            wgsl`let w_${row} = take4(&c_${row}, column % 8u); ${["x", "y", "z", "w"].map((k) => `${row} = fma(w_${row}.${k}, x.${k}, ${row});`).join(" ")}
        `,
        )}`,
      })}
    }
    // Lane l of a block held its own chunk for every output; now it holds every chunk for output l.
    ${each((p) => transposed(p, index))}
    // The total of an output visits the blocks in order, so chunks are added ascending.
    for (var b = 0u; b < ${BLOCKS}u; b++) {
      ${each(
        (
          p,
        ) => `let ${p}_carried = subgroupShuffle(${p}_total, (b + ${BLOCKS - 1}u) % ${BLOCKS}u * ${outputs}u + own);
      if (block == b) { ${p}_total = ${p}_carried + ${p}0; ${index
        .slice(1)
        .map((i) => `${p}_total += ${p}${i};`)
        .join(" ")} }`,
      )}
    }
  }

  let output = group_output + slot + own;
  ${
    octets
      ? wgsl`if (block == ${BLOCKS - 1}u) { totals[slot + own] = s_total; }
  workgroupBarrier();
  ${finishOctetsWgsl(OUTPUTS, 1, LANES)}`
      : wgsl`if (block == ${BLOCKS - 1}u && output < params.N) {
    finish(first_row, output, ${parts.map((p) => `${p}_total`).join(", ")});
  }`
  }
}
`;
};

/** Transposes the square of (lane of the block, index) by exchanging halves, quarters, and so on. */
function transposed(part: string, index: readonly number[]): string {
  const lines: string[] = [];
  for (let step = index.length / 2; step >= 1; step /= 2) {
    lines.push(`let ${part}_high${step} = (own & ${step}u) != 0u;`);
    for (const low of index.filter((i) => (i & step) === 0)) {
      const [a, b] = [`${part}${low}`, `${part}${low + step}`];
      const got = `${part}_got${step}_${low}`;
      lines.push(
        `let ${got} = subgroupShuffleXor(select(${b}, ${a}, ${part}_high${step}), ${step}u);`,
        `${a} = select(${a}, ${got}, ${part}_high${step}); ${b} = select(${got}, ${b}, ${part}_high${step});`,
      );
    }
  }
  return lines.join("\n    ");
}

export const subgroupMatvecShape = (size: SubgroupSize): MatmulShape => ({
  name: `gemv_subgroup${size}`,
  anyOrder: false,
  maxRows: 1,
  lanes: LANES,
  rowsPerGroup: 1,
  prologues: ["none", "norm"],
  hasOctets: true,
  features: ["subgroups"],
  wgsl: (weights) => source(size, weights),
  workgroups: (dims) => [ceilDiv(dims.N, OUTPUTS), gridRowGroups(dims, 1), 1],
  workgroupBytes: ({ format, rowsPerOutput, octets }) =>
    stagedBytes(format, OUTPUTS * rowsPerOutput, STAGED_CHUNKS) + (octets ? 4 * OUTPUTS : 0),
  loads: ({ T, N, K }, { format, rowsPerOutput }) => {
    const groups = T * ceilDiv(N, OUTPUTS);
    return {
      x: groups * (LANES / size) * K,
      weightBytes: packedBytes(format, groups * OUTPUTS * rowsPerOutput, K),
    };
  },
});
