/**
 * What Q4_K and Q5_K share: superblocks of 256 weights with an f16 scale and an f16 minimum, and 6-bit
 * multiples of both for each chunk of 32. weight = d·scale · q − dmin·minimum.
 * @see ggml `block_q4_K`, `block_q5_K`, `get_scale_min_k4`.
 */
import { f16ToNumber, numberToF16 } from "../half.ts";
import { wgsl } from "../kernel.ts";
import { CHUNK, type PackedRow, type Plane, type RowBlocks } from "./format.ts";

export const SUPERBLOCK = 256;
/** Chunks in a superblock. */
export const CHUNKS = SUPERBLOCK / CHUNK;

/** A byte of scale and a byte of minimum per chunk; d and dmin per superblock. */
export const kPlanes: readonly Plane[] = [
  { chunks: 2, words: 1 },
  { chunks: CHUNKS, words: 1 },
];

/** `fn chunk_affine(row, chunk)`: what a code is multiplied by, and what is then subtracted. */
export const kAffineWgsl = wgsl`fn chunk_affine(row: u32, chunk: u32) -> vec2<f32> {
  let multiples = plane0(row, chunk / 2u) >> (16u * (chunk & 1u));
  let unit = unpack2x16float(plane1(row, chunk / ${CHUNKS}u));
  return unit * vec2<f32>(vec2<u32>(multiples, multiples >> 8u) & vec2<u32>(0xffu));
}`;

export function kAffine(row: PackedRow, chunk: number): { scale: number; minimum: number } {
  const multiples = row.field(0, chunk >> 1) >>> (16 * (chunk & 1));
  const unit = row.field(1, Math.floor(chunk / CHUNKS));
  return {
    scale: f16ToNumber(unit & 0xffff) * (multiples & 0xff),
    minimum: f16ToNumber(unit >>> 16) * ((multiples >>> 8) & 0xff),
  };
}

/** `fn k_plane_word(plane, word)`, planes 0 and 1. @param halfwords Of a superblock. */
export const kPlaneWordWgsl = (halfwords: number): string => wgsl`
fn scale_byte(start: u32, i: u32) -> u32 {
  return (word_at(start + 2u + i / 2u) >> (8u * (i & 1u))) & 0xffu;
}
fn multiples(chunk: u32) -> u32 {
  let start = chunk / ${CHUNKS}u * ${halfwords}u;
  let j = chunk % ${CHUNKS}u;
  let a = scale_byte(start, j);
  let b = scale_byte(start, j + 4u);
  let before = scale_byte(start, max(j, 4u) - 4u);
  if (j < 4u) { return (a & 63u) | ((b & 63u) << 8u); }
  return (b & 15u) | ((before >> 6u) << 4u) | ((b & 0xf0u) << 4u) | ((a >> 6u) << 12u);
}
fn k_plane_word(plane: u32, word: u32) -> u32 {
  if (plane == 1u) { return word_at(word * ${halfwords}u); }
  return multiples(2u * word) | (multiples(2u * word + 1u) << 16u);
}`;

/** Of planes 0 and 1. */
export const kPlaneReads: readonly number[] = [6, 1];

export function kPlaneWord(row: RowBlocks, halfwords: number, plane: number, word: number): number {
  if (plane === 1) return row.word(word * halfwords);
  const multiples = (chunk: number) => {
    const start = Math.floor(chunk / CHUNKS) * halfwords + 2;
    const byte = (i: number) => (row.word(start + (i >> 1)) >>> (8 * (i & 1))) & 0xff;
    const j = chunk % CHUNKS;
    if (j < 4) return (byte(j) & 63) | ((byte(j + 4) & 63) << 8);
    const scale = (byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4);
    const minimum = (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4);
    return scale | (minimum << 8);
  };
  return (multiples(2 * word) | (multiples(2 * word + 1) << 16)) >>> 0;
}

/** Nibbles of two chunks share a byte: `codes` begins at this halfword of a superblock. */
export const kCodeWordWgsl = (halfwords: number, codes: number): string =>
  wgsl`fn code_word(chunk: u32, word: u32) -> u32 {
  let j = chunk % ${CHUNKS}u;
  let at = chunk / ${CHUNKS}u * ${halfwords}u + ${codes}u + j / 2u * 16u + 2u * word;
  let shift = 4u * (j & 1u);
  return ((word_at(at) >> shift) & 0x0f0f0f0fu) | (((word_at(at + 8u) >> shift) & 0x0f0f0f0fu) << 4u);
}`;

export function kCodeWord(
  row: RowBlocks,
  halfwords: number,
  codes: number,
  chunk: number,
  word: number,
): number {
  const j = chunk % CHUNKS;
  const at = Math.floor(chunk / CHUNKS) * halfwords + codes + (j >> 1) * 16 + 2 * word;
  const shift = 4 * (j & 1);
  const low = (row.word(at) >>> shift) & 0x0f0f0f0f;
  return (low | (((row.word(at + 8) >>> shift) & 0x0f0f0f0f) << 4)) >>> 0;
}

/**
 * Writes d, dmin and the twelve bytes of multiples; gives each weight's code, 0 to `maxCode`.
 * Rounds every chunk's range plainly: known-answer inputs need valid blocks, not the best ones.
 */
export function kEncode(
  values: Float32Array,
  maxCode: number,
  header: DataView,
): (i: number) => number {
  const scales: number[] = [];
  const minima: number[] = [];
  for (let from = 0; from < SUPERBLOCK; from += CHUNK) {
    const chunk = values.subarray(from, from + CHUNK);
    const minimum = Math.max(0, -Math.min(...chunk));
    scales.push((Math.max(0, ...chunk) + minimum) / maxCode);
    minima.push(minimum);
  }
  const multiplesOf = (list: number[], at: number) => {
    header.setUint16(at, numberToF16(Math.max(...list) / 63), true);
    const unit = f16ToNumber(header.getUint16(at, true));
    return list.map((value) => (unit === 0 ? 0 : Math.min(63, Math.round(value / unit))));
  };
  const scale = multiplesOf(scales, 0);
  const minimum = multiplesOf(minima, 2);
  for (let j = 0; j < 4; j++) {
    header.setUint8(4 + j, scale[j] | ((scale[j + 4] >> 4) << 6));
    header.setUint8(8 + j, minimum[j] | ((minimum[j + 4] >> 4) << 6));
    header.setUint8(12 + j, (scale[j + 4] & 15) | ((minimum[j + 4] & 15) << 4));
  }
  const d = f16ToNumber(header.getUint16(0, true));
  const dmin = f16ToNumber(header.getUint16(2, true));
  return (i) => {
    const j = Math.floor(i / CHUNK);
    const step = d * scale[j];
    if (step === 0) return 0;
    const code = Math.round((values[i] + dmin * minimum[j]) / step);
    return Math.max(0, Math.min(maxCode, code));
  };
}
