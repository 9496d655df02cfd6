/**
 * What a matrix kernel does with its rows of x before it multiplies: nothing, or RMSNorm. The norm
 * has the bits of the kernel `rms_norm`, so fusing it saves a dispatch and changes no result.
 */
import { type Binding, read, wgsl } from "./kernel.ts";
import { inverseRmsWgsl, rmsNorm } from "./rms-norm.ts";

export type Prologue = "none" | "norm";

export const prologueBindings = (prologue: Prologue): Record<string, Binding> =>
  prologue === "norm" ? { norm_weight: read("K", "vec4<f32>") } : {};

export const prologueParams = (prologue: Prologue): Record<string, "f32"> =>
  prologue === "norm" ? { eps: "f32" } : {};

/**
 * `fn prepare(lane, first_row, num_rows)`, called by all lanes before `fn x4(first_row, m, column)`
 * gives four values of row first_row + m.
 */
export function prologueWgsl(prologue: Prologue, rowsPerGroup: number): string {
  if (prologue === "none") {
    return wgsl`fn prepare(lane: u32, first_row: u32, num_rows: u32) {}
fn x4(first_row: u32, m: u32, column: u32) -> vec4<f32> {
  return load_x(x_row(first_row, m) * (params.K / 4u) + column);
}`;
  }
  return wgsl`${inverseRmsWgsl}
var<workgroup> row_scales: array<f32, ${rowsPerGroup}>;
fn prepare(lane: u32, first_row: u32, num_rows: u32) {
  for (var m = 0u; m < num_rows; m++) {
    let scale = inverse_rms(lane, x_row(first_row, m) * (params.K / 4u), params.K, params.eps);
    if (lane == 0u) { row_scales[m] = scale; }
  }
  workgroupBarrier();
}
fn x4(first_row: u32, m: u32, column: u32) -> vec4<f32> {
  let x = load_x(x_row(first_row, m) * (params.K / 4u) + column);
  return x * row_scales[m] * load_norm_weight(column);
}`;
}

/**
 * Bytes of x and of the norm's weight.
 * @param multiplied Values of x that the multiplication loads, re-reads included.
 * @param columnGroups Workgroups that each normalise their rows anew.
 */
export function prologueBytes(
  prologue: Prologue,
  multiplied: number,
  columnGroups: number,
  { T, K }: { T: number; K: number },
): Record<string, number> {
  if (prologue === "none") return { x: 4 * multiplied };
  return { x: 4 * (multiplied + columnGroups * T * K), norm_weight: 4 * multiplied };
}

/** The slow twin: x as the multiplication sees it, rounded to f32 where `rms_norm` stores. */
export function prologueReference(
  prologue: Prologue,
  { x, norm_weight }: { x: Float32Array; norm_weight: Float32Array },
  { T, K, eps }: { T: number; K: number; eps: number },
): Float32Array {
  if (prologue === "none") return x;
  const out = new Float32Array(T * K);
  rmsNorm.reference({ x, weight: norm_weight, out }, { T, D: K, eps });
  return out;
}
