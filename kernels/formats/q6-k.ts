/**
 * Q6_K: superblocks of 256 six-bit codes; an f16 scale for all and a signed byte for each 16.
 * weight = d·scale · (q − 32). The upper two bits lie in a plane of their own: those of quad j in word
 * j & 1, shifted by 2·(j >> 1). Packed it takes 212 bytes for upstream's 210.
 * @see ggml `block_q6_K`, `dequantize_row_q6_K`.
 */
import { f16ToNumber, numberToF16 } from "../half.ts";
import { wgsl } from "../kernel.ts";
import { CHUNK, type WeightFormat } from "./format.ts";
import { CHUNKS, SUPERBLOCK } from "./k-block.ts";
import { nibble } from "./q4-0.ts";

const BYTES = 210;
const HALFWORDS = BYTES / 2;
/** Halfwords where the upper bits, the scales and d begin. */
const HIGH = 64;
const SCALES = 96;
const UNIT = 104;

export const q6_k: WeightFormat = {
  name: "q6_k",
  block: { weights: SUPERBLOCK, bytes: BYTES },
  pieces: 1,
  planes: [
    { chunks: 2, words: 1 },
    { chunks: CHUNKS, words: 1 },
    { chunks: 1, words: 2 },
  ],
  wgsl: wgsl`struct Chunk { codes: vec4<u32>, high: vec2<u32>, scales: vec2<f32> }
fn open_chunk(row: u32, chunk: u32) -> Chunk {
  let multiples = unpack4xI8(plane0(row, chunk / 2u) >> (16u * (chunk & 1u))).xy;
  let unit = unpack2x16float(plane1(row, chunk / ${CHUNKS}u)).x;
  let high = vec2<u32>(plane2(row, 2u * chunk), plane2(row, 2u * chunk + 1u));
  return Chunk(vec4<u32>(), high, unit * vec2<f32>(multiples));
}
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  let high = (*c).high;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  (*c).high = vec2<u32>(high.y, high.x >> 2u);
  let q = vec4<f32>(unpack4xU8((codes.x & 0x0f0f0f0fu) | ((high.x & 0x03030303u) << 4u)));
  return select((*c).scales.y, (*c).scales.x, quad < 4u) * (q - 32.0);
}`,
  fieldReads: 4,
  repackWgsl: wgsl`fn code_word(chunk: u32, word: u32) -> u32 {
  let j = chunk % ${CHUNKS}u;
  let at = chunk / ${CHUNKS}u * ${HALFWORDS}u + j / 4u * 32u + (j & 1u) * 16u + 2u * word;
  let shift = 4u * ((j / 2u) & 1u);
  return ((word_at(at) >> shift) & 0x0f0f0f0fu) | (((word_at(at + 8u) >> shift) & 0x0f0f0f0fu) << 4u);
}
fn plane_word(plane: u32, word: u32) -> u32 {
  if (plane == 0u) {
    return word_at(word / ${CHUNKS / 2}u * ${HALFWORDS}u + ${SCALES}u + 2u * (word % ${CHUNKS / 2}u));
  }
  if (plane == 1u) { return word_at(word * ${HALFWORDS}u + ${UNIT}u) & 0xffffu; }
  let chunk = word / 2u;
  let j = chunk % ${CHUNKS}u;
  let at = chunk / ${CHUNKS}u * ${HALFWORDS}u + ${HIGH}u + j / 4u * 16u + 2u * (word & 1u);
  var bits = 0u;
  for (var i = 0u; i < 4u; i++) {
    bits |= ((word_at(at + 4u * i) >> (2u * (j & 3u))) & 0x03030303u) << (2u * i);
  }
  return bits;
}`,
  repackReads: { code: 2, planes: [1, 1, 4] },
  codeWord(row, chunk, word) {
    const j = chunk % CHUNKS;
    const start = Math.floor(chunk / CHUNKS) * HALFWORDS;
    const at = start + (j >> 2) * 32 + (j & 1) * 16 + 2 * word;
    const shift = 4 * ((j >> 1) & 1);
    const low = (row.word(at) >>> shift) & 0x0f0f0f0f;
    return (low | (((row.word(at + 8) >>> shift) & 0x0f0f0f0f) << 4)) >>> 0;
  },
  planeWord(row, plane, word) {
    if (plane === 1) return row.word(word * HALFWORDS + UNIT) & 0xffff;
    const chunk = plane === 0 ? 2 * word : word >> 1;
    const j = chunk % CHUNKS;
    const start = Math.floor(chunk / CHUNKS) * HALFWORDS;
    if (plane === 0) return row.word(start + SCALES + j);
    const at = start + HIGH + (j >> 2) * 16 + 2 * (word & 1);
    let bits = 0;
    for (let i = 0; i < 4; i++) {
      bits |= ((row.word(at + 4 * i) >>> (2 * (j & 3))) & 0x03030303) << (2 * i);
    }
    return bits >>> 0;
  },
  unpack(row, chunk, out, at) {
    const multiples = row.field(0, chunk >> 1) >>> (16 * (chunk & 1));
    const unit = f16ToNumber(row.field(1, Math.floor(chunk / CHUNKS)));
    for (let i = 0; i < CHUNK; i++) {
      const quad = i >> 2;
      const word = row.field(2, 2 * chunk + (quad & 1));
      const upper = (word >>> (8 * (i & 3) + 2 * (quad >> 1))) & 3;
      const scale = unit * ((multiples << (i < 16 ? 24 : 16)) >> 24);
      out[at + i] = scale * ((nibble(row, chunk, i) | (upper << 4)) - 32);
    }
  },
  encode(values) {
    const blocks = new Uint8Array((values.length / SUPERBLOCK) * BYTES);
    for (let at = 0, from = 0; from < values.length; at += BYTES, from += SUPERBLOCK) {
      encodeSuperblock(values.subarray(from, from + SUPERBLOCK), new DataView(blocks.buffer, at));
    }
    return blocks;
  },
};

/** Plain rounding: known-answer inputs need valid blocks, not the best ones. */
function encodeSuperblock(values: Float32Array, block: DataView): void {
  const largest = (from: number, to: number) =>
    Math.max(...values.subarray(from, to).map(Math.abs));
  block.setUint16(2 * UNIT, numberToF16(largest(0, SUPERBLOCK) / 32 / 127), true);
  const unit = f16ToNumber(block.getUint16(2 * UNIT, true));
  for (let i = 0; i < SUPERBLOCK; i++) {
    const sixteen = Math.floor(i / 16);
    const wanted = largest(16 * sixteen, 16 * sixteen + 16) / 32;
    const multiple = unit === 0 ? 0 : Math.min(127, Math.ceil(wanted / unit));
    block.setInt8(2 * SCALES + sixteen, multiple);
    const step = unit * multiple;
    const code = step === 0 ? 32 : Math.max(0, Math.min(63, Math.round(values[i] / step) + 32));
    const chunk = Math.floor(i / CHUNK);
    const half = Math.floor(chunk / 4);
    const low = half * 64 + (chunk & 1) * 32 + (i % CHUNK);
    const high = 2 * HIGH + half * 32 + (i % CHUNK);
    block.setUint8(low, block.getUint8(low) | ((code & 15) << (4 * ((chunk >> 1) & 1))));
    block.setUint8(high, block.getUint8(high) | ((code >> 4) << (2 * (chunk & 3))));
  }
}
