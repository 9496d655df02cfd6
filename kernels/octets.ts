/**
 * Eight outputs in a row, finished by one lane as two quads: for epilogues that need sums of several
 * outputs. The sums meet in workgroup memory; which outputs stand in a row says `weight_row`.
 */
import { wgsl } from "./kernel.ts";

export const OCTET = 8;

/** `totals[output * numRows + m]`: of an output of the workgroup and a row. */
export const totalsWgsl = (outputs: number, numRows: number): string =>
  wgsl`var<workgroup> totals: array<f32, ${outputs * numRows}>;`;

/**
 * Statements behind a barrier, for all lanes: needs `lid`, `first_row`, `num_rows` and `group_output`,
 * the first output of the workgroup.
 */
export function finishOctetsWgsl(outputs: number, numRows: number, lanes: number): string {
  const quad = (from: number) =>
    `vec4<f32>(${[0, 1, 2, 3].map((i) => `totals[at + ${(from + i) * numRows}u]`).join(", ")})`;
  const octets = outputs / OCTET;
  return wgsl`for (var i = lid.x; i < ${octets}u * num_rows; i += ${lanes}u) {
    let output = i % ${octets}u * ${OCTET}u;
    let at = output * ${numRows}u + i / ${octets}u;
    if (group_output + output < params.N) {
      finish(first_row + i / ${octets}u, group_output + output, ${quad(0)}, ${quad(4)});
    }
  }`;
}
