/**
 * Q5_K: Q4_K with a fifth bit per weight, in a plane of its own: bit j of byte b belongs to weight
 * 4j + b. Packed it takes 180 bytes for upstream's 176.
 * @see ggml `block_q5_K`, `dequantize_row_q5_K`.
 */
import { wgsl } from "../kernel.ts";
import { CHUNK, type WeightFormat } from "./format.ts";
import {
  CHUNKS,
  kAffine,
  kAffineWgsl,
  kCodeWord,
  kCodeWordWgsl,
  kEncode,
  kPlaneReads,
  kPlanes,
  kPlaneWord,
  kPlaneWordWgsl,
  SUPERBLOCK,
} from "./k-block.ts";
import { nibble } from "./q4-0.ts";

const BYTES = 176;
const HALFWORDS = BYTES / 2;
/** Halfwords where the fifth bits and the nibbles begin. */
const HIGH = 8;
const CODES = 24;

export const q5_k: WeightFormat = {
  name: "q5_k",
  block: { weights: SUPERBLOCK, bytes: BYTES },
  pieces: 1,
  planes: [...kPlanes, { chunks: 1, words: 1 }],
  wgsl: wgsl`struct Chunk { codes: vec4<u32>, high: u32, affine: vec2<f32> }
${kAffineWgsl}
fn open_chunk(row: u32, chunk: u32) -> Chunk {
  return Chunk(vec4<u32>(), plane2(row, chunk), chunk_affine(row, chunk));
}
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  let high = (*c).high;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  (*c).high = high >> 1u;
  let q = vec4<f32>(unpack4xU8((codes.x & 0x0f0f0f0fu) | ((high & 0x01010101u) << 4u)));
  return (*c).affine.x * q - (*c).affine.y;
}`,
  fieldReads: 3,
  repackWgsl: wgsl`${kCodeWordWgsl(HALFWORDS, CODES)}
${kPlaneWordWgsl(HALFWORDS)}
fn plane_word(plane: u32, word: u32) -> u32 {
  if (plane < 2u) { return k_plane_word(plane, word); }
  let at = word / ${CHUNKS}u * ${HALFWORDS}u + ${HIGH}u;
  var bits = 0u;
  for (var j = 0u; j < 8u; j++) {
    bits |= ((word_at(at + 2u * j) >> (word % ${CHUNKS}u)) & 0x01010101u) << j;
  }
  return bits;
}`,
  repackReads: { code: 2, planes: [...kPlaneReads, 8] },
  codeWord: (row, chunk, word) => kCodeWord(row, HALFWORDS, CODES, chunk, word),
  planeWord(row, plane, word) {
    if (plane < 2) return kPlaneWord(row, HALFWORDS, plane, word);
    const at = Math.floor(word / CHUNKS) * HALFWORDS + HIGH;
    let bits = 0;
    for (let j = 0; j < 8; j++) {
      bits |= ((row.word(at + 2 * j) >>> (word % CHUNKS)) & 0x01010101) << j;
    }
    return bits >>> 0;
  },
  unpack(row, chunk, out, at) {
    const { scale, minimum } = kAffine(row, chunk);
    for (let i = 0; i < CHUNK; i++) {
      const fifth = (row.field(2, chunk) >>> (8 * (i & 3) + (i >> 2))) & 1;
      out[at + i] = scale * (nibble(row, chunk, i) | (fifth << 4)) - minimum;
    }
  },
  encode(values) {
    const blocks = new Uint8Array((values.length / SUPERBLOCK) * BYTES);
    for (let at = 0, from = 0; from < values.length; at += BYTES, from += SUPERBLOCK) {
      const weights = values.subarray(from, from + SUPERBLOCK);
      const code = kEncode(weights, 31, new DataView(blocks.buffer, at, 16));
      for (let i = 0; i < SUPERBLOCK; i++) {
        const chunk = Math.floor(i / CHUNK);
        blocks[at + 16 + (i % CHUNK)] |= (code(i) >> 4) << chunk;
        blocks[at + 48 + (chunk >> 1) * CHUNK + (i % CHUNK)] |= (code(i) & 15) << (4 * (chunk & 1));
      }
    }
    return blocks;
  },
};
