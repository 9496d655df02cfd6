/**
 * int8 storage of the KV cache: signed codes, and one f32 scale per row (a head of K or of V at one
 * position). Owns rounding and the place of both in a block; kv-layout.ts numbers the rows.
 *
 *   block     codes [2,K,B,H] i8, then scales [2,K,B] f32: one run of bytes, a multiple of 16
 *   rounding  y = clamp(x, ±65504);  largest = max |y|;  scale = largest · (1/127)
 *             code = y · (127 / largest), to the nearest whole, halves to even
 *   value     scale · code
 *
 * A max is the same in any order. WGSL lets a driver divide inexactly, so one lane divides once, and the
 * others find the quotient in memory, where no compiler can fold it into their products.
 */
import { type Packing, wgsl } from "./kernel.ts";

const LARGEST_CODE = 127;
const INVERSE_CODE = Math.fround(1 / LARGEST_CODE);
/** As in f16: one infinite key would turn every later softmax of the sequence into NaN. */
const LIMIT = 65504;
/** Rows below it are zero: 127 / largest stays finite, and no scale is subnormal. */
const SMALLEST = 2 ** -100;
const SCALE_BYTES = 4;
/** Quads of the largest head. */
const MAX_QUADS = 64;

export const int8RowBytes = (H: number): number => H + SCALE_BYTES;

/** Needs `block_starts`, `kv_index` and what these need (kv-layout.ts). */
export const int8LoadWgsl = (tile: number): string => wgsl`
/** Of the tile's keys, then of its values. */
var<workgroup> kv_scales: array<f32, ${2 * tile}>;

fn kv_head_start(block: u32, kv_head: u32) -> u32 {
  return (block * 2u * params.K * (HEAD_QUADS + 1u) + kv_head * HEAD_QUADS) * B;
}
fn open_kv_rows(lane: u32, kv_head: u32, low: u32, high: u32) {
  let rest_of_codes = (2u * params.K - kv_head) * B * HEAD_QUADS;
  for (var i = lane; i < ${2 * tile}u; i += LANES) {
    let j = i % ${tile}u;
    if (j < low || j >= high) { continue; }
    let row = (i / ${tile}u * params.K + kv_head) * B + j % B;
    kv_scales[i] = bitcast<f32>(load_kv_pool(block_starts[j / B] + rest_of_codes + row));
  }
  workgroupBarrier();
}
fn kv_quad(plane: u32, j: u32, d4: u32) -> vec4<f32> {
  let codes = vec4<f32>(unpack4xI8(load_kv_pool(kv_index(plane, j, d4))));
  return kv_scales[plane * ${tile}u + j] * codes;
}`;

/** Needs `kv_row` and what it needs (kv-layout.ts). */
export const int8StoreWgsl = (lanes: number, kvHeads: string): string => wgsl`
var<workgroup> kv_quads: array<vec4<f32>, ${MAX_QUADS}>;
var<workgroup> kv_maxima: array<f32, ${lanes}>;
var<workgroup> kv_inverse: f32;
var<private> kv_largest: f32;

fn put_kv(slot: u32, plane: u32, kv_head: u32, d4: u32, v: vec4<f32>) {
  let limited = clamp(v, vec4<f32>(-${LIMIT}.0), vec4<f32>(${LIMIT}.0));
  kv_quads[d4] = limited;
  let pair = max(abs(limited.xy), abs(limited.zw));
  kv_largest = max(kv_largest, max(pair.x, pair.y));
}
fn end_kv_row(slot: u32, plane: u32, kv_head: u32, lane: u32) {
  let quads = params.H / 4u;
  let rows = 2u * ${kvHeads} * params.B;
  let block_start = slot / params.B * rows * (quads + 1u);
  let row = kv_row(0u, plane, kv_head, slot % params.B);
  kv_maxima[lane] = kv_largest;
  workgroupBarrier();
  if (lane == 0u) {
    var largest = 0.0;
    // From the lane, which is 0: Mesa unrolls a loop whose length it sees.
    for (var i = lane; i < ${lanes}u; i++) { largest = max(largest, kv_maxima[i]); }
    let is_zero = largest < ${SMALLEST};
    kv_inverse = select(${LARGEST_CODE}.0 / max(largest, ${SMALLEST}), 0.0, is_zero);
    let scale = select(largest * ${INVERSE_CODE}, 0.0, is_zero);
    store_kv_pool(block_start + rows * quads + row, bitcast<u32>(scale));
  }
  workgroupBarrier();
  for (var d4 = lane; d4 < quads; d4 += ${lanes}u) {
    let codes = vec4<i32>(round(kv_quads[d4] * kv_inverse));
    store_kv_pool(block_start + row * quads + d4, pack4xI8(codes));
  }
}`;

export interface Int8Block {
  /** 2·K·B. */
  readonly rows: number;
  readonly H: number;
}

/** Byte of a row's first code and word of its scale; rows are counted over the pool. */
function placeOf({ rows, H }: Int8Block, row: number): { code: number; scale: number } {
  const start = Math.floor(row / rows) * rows * int8RowBytes(H);
  return { code: start + (row % rows) * H, scale: (start + rows * H) / SCALE_BYTES + (row % rows) };
}

/** The slow twin of `put_kv` and `end_kv_row`. A NaN in `x` makes the scale NaN. */
export function storeInt8Row(
  pool: Uint32Array,
  block: Int8Block,
  row: number,
  x: Float32Array,
): void {
  const { code, scale } = placeOf(block, row);
  let largest = 0;
  for (const value of x) largest = Math.max(largest, Math.min(LIMIT, Math.abs(value)));
  const inverse = largest < SMALLEST ? 0 : Math.fround(LARGEST_CODE / largest);
  scalesOf(pool)[scale] = largest < SMALLEST ? 0 : largest * INVERSE_CODE;
  const codes = codesOf(pool);
  for (const [d, value] of x.entries()) {
    const limited = Math.max(-LIMIT, Math.min(LIMIT, value));
    codes[code + d] = roundHalfEven(Math.fround(limited * inverse));
  }
}

/** Values of rows [from, to): the slow twin of `kv_quad`. */
export function int8Rows(
  pool: Uint32Array,
  block: Int8Block,
  from: number,
  to: number,
): Float32Array {
  const { H } = block;
  const codes = codesOf(pool);
  const scales = scalesOf(pool);
  const values = new Float32Array((to - from) * H);
  for (let row = from; row < to; row++) {
    const place = placeOf(block, row);
    const scale = scales[place.scale];
    for (let d = 0; d < H; d++) values[(row - from) * H + d] = scale * codes[place.code + d];
  }
  return values;
}

/** Of a pool [P,2,K,B,H]. */
export const int8Packing: Packing = {
  format: "kv_int8",
  bytes: (P, planes, K, B, H) => P * planes * K * B * int8RowBytes(H),
  unpack: (words, P, planes, K, B, H) => {
    const rows = planes * K * B;
    return int8Rows(words, { rows, H }, 0, P * rows);
  },
  pack: (values, P, planes, K, B, H) => {
    const rows = planes * K * B;
    const words = new Uint32Array((P * rows * int8RowBytes(H)) / 4);
    for (let row = 0; row < P * rows; row++) {
      storeInt8Row(words, { rows, H }, row, values.subarray(row * H, (row + 1) * H));
    }
    return words;
  },
  // A code more or less, where the largest of a row is five times the RMS.
  rounding: 5 / LARGEST_CODE,
};

const codesOf = ({ buffer, byteOffset, byteLength }: Uint32Array) =>
  new Int8Array(buffer, byteOffset, byteLength);
const scalesOf = ({ buffer, byteOffset, length }: Uint32Array) =>
  new Float32Array(buffer, byteOffset, length);

/** float64 has no fractions up here, and rounds a sum to even itself. */
const WHOLE = 1.5 * 2 ** 52;
const roundHalfEven = (x: number): number => x + WHOLE - WHOLE;
