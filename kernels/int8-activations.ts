/**
 * Activations rounded to int8 for matrix kernels: each chunk of 32 columns of a row to signed codes with
 * one scale. Owns the rounding and its place in workgroup memory; the sums are the shapes' (matmul-int8-*).
 *
 *   scale    the least number of five significant bits that is at least max |x| · (1/127)
 *   inverse  1 / scale, rounded to 16 significant bits
 *   code     x · inverse, to the nearest whole, halves to even
 *
 * Every step is a rounding that WGSL defines, or takes the few bits that an inexact division is right
 * in: so a value has the same code on every device, in every shape, and here. Five bits make the error 4 %
 * larger than all 24 would, and the product with a weight's scale exact. A NaN may be lost in the maximum.
 */
import { CHUNK } from "./formats/format.ts";
import { type Kernel, type Probe, wgsl } from "./kernel.ts";
import { prologueReference } from "./prologue.ts";

const LARGEST_CODE = 127;
const INVERSE_CODE = Math.fround(1 / LARGEST_CODE);
/** Chunks below it are zero: the inverse stays finite, and no scale is subnormal. */
const SMALLEST = 2 ** -100;
/** Bits of an f32 that a scale and its inverse do without; the scale is rounded up. */
const SCALE_REST = 0x0007ffff;
const INVERSE_REST = 0x000000ff;
const INVERSE_HALF = 0x00000080;

/**
 * `fn stage_x(at, first_row, m, chunk)` puts a chunk of row first_row + m at its place of `places`; behind
 * a barrier `x_codes[quad * places + at]` holds four codes, `x_scales[at]` their scale and, where there
 * are sums, `x_sums[at]` what the 32 codes add up to. Needs `x4` of the prologue.
 */
export const stagedInt8Wgsl = (places: number, hasSums: boolean): string => wgsl`
var<workgroup> x_codes: array<u32, ${8 * places}>;
var<workgroup> x_scales: array<f32, ${places}>;
${hasSums ? `var<workgroup> x_sums: array<i32, ${places}>;` : ""}
fn stage_x(at: u32, first_row: u32, m: u32, chunk: u32) {
  // Bounds that depend on the lane, so that no compiler unrolls: it only costs build time.
  let first = chunk * 8u;
  var most = vec4<f32>();
  for (var column = first; column < first + 8u; column++) {
    most = max(most, abs(x4(first_row, m, column)));
  }
  let pair = max(most.xy, most.zw);
  let largest = max(pair.x, pair.y);
  let is_zero = largest < ${SMALLEST};
  let least = bitcast<u32>(largest * ${INVERSE_CODE});
  let scale = bitcast<f32>((least + ${SCALE_REST}u) & ~${SCALE_REST}u);
  let exact = bitcast<u32>(1.0 / select(scale, 1.0, is_zero));
  let inverse = bitcast<f32>((exact + ${INVERSE_HALF}u) & ~${INVERSE_REST}u);
  ${hasSums ? "var sum = 0;" : ""}
  for (var column = first; column < first + 8u; column++) {
    let codes = vec4<i32>(round(x4(first_row, m, column) * select(inverse, 0.0, is_zero)));
    x_codes[column % 8u * ${places}u + at] = pack4xI8(codes);
    ${hasSums ? "sum += codes.x + codes.y + codes.z + codes.w;" : ""}
  }
  x_scales[at] = select(scale, 0.0, is_zero);
  ${hasSums ? "x_sums[at] = sum;" : ""}
}`;

export const stagedInt8Bytes = (places: number, hasSums: boolean): number =>
  4 * places * (hasSums ? 10 : 9);

/** Values that each staged chunk loads: once for the largest, once for the codes. */
export const STAGED_LOADS = 2;

/** The slow twin: what the codes stand for, an f32 each. `x` is whole chunks. */
export function roundToInt8(x: Float32Array): Float32Array {
  const out = new Float32Array(x.length);
  for (let from = 0; from < x.length; from += CHUNK) {
    const { scale, inverse } = quantiserOf(x, from);
    for (let i = from; i < from + CHUNK; i++) {
      out[i] = scale * roundHalfEven(Math.fround(x[i] * inverse));
    }
  }
  return out;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function quantiserOf(x: Float32Array, from: number): { scale: number; inverse: number } {
  let largest = 0;
  for (let i = from; i < from + CHUNK; i++) largest = Math.max(largest, Math.abs(x[i]));
  if (largest < SMALLEST) return { scale: 0, inverse: 0 };
  float[0] = largest * INVERSE_CODE;
  bits[0] = (bits[0] + SCALE_REST) & ~SCALE_REST;
  const scale = float[0];
  float[0] = 1 / scale;
  bits[0] = (bits[0] + INVERSE_HALF) & ~INVERSE_REST;
  return { scale, inverse: float[0] };
}

/** float64 has no fractions up here, and rounds a sum to even itself. */
const WHOLE = 1.5 * 2 ** 52;
const roundHalfEven = (x: number): number => x + WHOLE - WHOLE;

/** Of WGSL: what has `dot4I8Packed`. */
export const INTEGER_DOTS = "packed_4x8_integer_dot_product";

/** Whether a kernel multiplies by integer dot products. */
export const usesIntegerDots = ({ numerics }: Kernel): boolean =>
  numerics.startsWith("matmul/int8/");

/** Whether a kernel rounds what it has normalised itself: its probes must be `steadied`. */
export const roundsNormed = ({ numerics }: Kernel): boolean =>
  numerics.startsWith("matmul/int8/norm");

/** Parts of a step that a value keeps from the middle between two codes; what drivers differ in is less. */
const MARGIN = 1 / 64;

/**
 * A probe whose normalised values have the same codes on every device: RMSNorm is right to a few units
 * in the last place alone, and a value between two codes may become either.
 */
export function steadied(probe: Probe): Probe {
  const { T, K, eps } = probe.dims;
  return {
    dims: probe.dims,
    inputs(random) {
      const given = probe.inputs(random);
      const { norm_weight } = given as Record<string, Float32Array>;
      const x = Float32Array.from(given.x);
      const normed = prologueReference("norm", { x, norm_weight }, { T, K, eps });
      for (let from = 0; from < x.length; from += CHUNK) {
        const { inverse } = quantiserOf(normed, from);
        for (let i = from; i < from + CHUNK; i++) {
          const steps = normed[i] * inverse;
          const beyond = Math.abs(steps) % 1;
          // Down, so that no value becomes the largest. The row's norm moves by far less than the margin.
          if (Math.abs(beyond - 0.5) < MARGIN) x[i] *= 1 - (3 * MARGIN) / Math.abs(steps);
        }
      }
      return { ...given, x };
    },
  };
}
