/**
 * Q4_K: superblocks of 256 nibbles (k-block.ts). Packed it takes 148 bytes for upstream's 144: its
 * 6-bit multiples become bytes.
 * @see ggml `block_q4_K`, `dequantize_row_q4_K`.
 */
import { wgsl } from "../kernel.ts";
import { CHUNK, type WeightFormat } from "./format.ts";
import {
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

const BYTES = 144;
const HALFWORDS = BYTES / 2;
/** Halfword where the nibbles begin. */
const CODES = 8;

export const q4_k: WeightFormat = {
  name: "q4_k",
  block: { weights: SUPERBLOCK, bytes: BYTES },
  pieces: 1,
  planes: kPlanes,
  wgsl: wgsl`struct Chunk { codes: vec4<u32>, affine: vec2<f32> }
${kAffineWgsl}
fn open_chunk(row: u32, chunk: u32) -> Chunk { return Chunk(vec4<u32>(), chunk_affine(row, chunk)); }
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  return (*c).affine.x * vec4<f32>(unpack4xU8(codes.x & 0x0f0f0f0fu)) - (*c).affine.y;
}`,
  integer: {
    wgsl: wgsl`fn take4_i8(c: ptr<function, Chunk>, quad: u32) -> u32 {
  let codes = (*c).codes;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  return codes.x & 0x0f0f0f0fu;
}
fn scale_of(c: Chunk) -> f32 { return c.affine.x; }
fn offset_of(c: Chunk) -> f32 { return -c.affine.y; }`,
    hasOffset: true,
  },
  fieldReads: 2,
  repackWgsl: wgsl`${kCodeWordWgsl(HALFWORDS, CODES)}
${kPlaneWordWgsl(HALFWORDS)}
fn plane_word(plane: u32, word: u32) -> u32 { return k_plane_word(plane, word); }`,
  repackReads: { code: 2, planes: kPlaneReads },
  codeWord: (row, chunk, word) => kCodeWord(row, HALFWORDS, CODES, chunk, word),
  planeWord: (row, plane, word) => kPlaneWord(row, HALFWORDS, plane, word),
  unpack(row, chunk, out, at) {
    const { scale, minimum } = kAffine(row, chunk);
    for (let i = 0; i < CHUNK; i++) out[at + i] = scale * nibble(row, chunk, i) - minimum;
  },
  encode(values) {
    const blocks = new Uint8Array((values.length / SUPERBLOCK) * BYTES);
    for (let at = 0, from = 0; from < values.length; at += BYTES, from += SUPERBLOCK) {
      const weights = values.subarray(from, from + SUPERBLOCK);
      const code = kEncode(weights, 15, new DataView(blocks.buffer, at, 16));
      for (let i = 0; i < SUPERBLOCK / 2; i++) {
        // 32 bytes hold the nibbles of two chunks.
        const low = Math.floor(i / CHUNK) * 2 * CHUNK + (i % CHUNK);
        blocks[at + 16 + i] = code(low) | (code(low + CHUNK) << 4);
      }
    }
    return blocks;
  },
};
