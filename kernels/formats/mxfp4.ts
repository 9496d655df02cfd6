/**
 * MXFP4: 32 numbers of four bits, sign, two of exponent and one of mantissa, and one power of two for
 * them all. In a file's block the exponent fills a halfword, and nibbles are in the order of q4_0:
 * what streams a checkpoint makes it so.
 *
 * A scale of 2^-127, where a weight is below any number that matters, counts as 0; one that is no
 * number as the largest.
 * @see OCP Microscaling Formats 1.0, section 5.3 (E2M1, E8M0).
 */
import { wgsl } from "../kernel.ts";
import { CHUNK, type WeightFormat } from "./format.ts";
import { nibble } from "./q4-0.ts";
import { scalePlane, scaleWord, scaleWordWgsl } from "./scale-plane.ts";

const BYTES = 18;
const HALFWORDS = BYTES / 2;
const LARGEST_SCALE = 254;

/** Of codes 0 to 7, doubled: 8 to 15 are their negatives. */
const DOUBLED = [0, 1, 2, 3, 4, 6, 8, 12];

export const mxfp4: WeightFormat = {
  name: "mxfp4",
  block: { weights: CHUNK, bytes: BYTES },
  pieces: 1,
  planes: [scalePlane],
  wgsl: wgsl`struct Chunk { codes: vec4<u32>, scale: f32 }
fn open_chunk(row: u32, chunk: u32) -> Chunk {
  let pair = plane0(row, chunk / 2u);
  let exponent = select(pair, pair >> 16u, (chunk & 1u) != 0u) & 0xffu;
  return Chunk(vec4<u32>(), bitcast<f32>(min(exponent, ${LARGEST_SCALE}u) << 23u));
}
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  let own = unpack4xU8(codes.x & 0x0f0f0f0fu);
  let low = own & vec4<u32>(1u);
  let exponent = (own >> vec4<u32>(1u)) & vec4<u32>(3u);
  let doubled = select((low + 2u) << (max(exponent, vec4<u32>(1u)) - 1u), low, exponent == vec4<u32>());
  let halves = select(vec4<f32>(0.5), vec4<f32>(-0.5), own > vec4<u32>(7u));
  return (*c).scale * (halves * vec4<f32>(doubled));
}`,
  fieldReads: 1,
  repackWgsl: wgsl`fn code_word(chunk: u32, word: u32) -> u32 {
  return word_at(chunk * ${HALFWORDS}u + 1u + 2u * word);
}
${scaleWordWgsl(HALFWORDS)}`,
  repackReads: { code: 1, planes: [2] },
  codeWord: (row, chunk, word) => row.word(chunk * HALFWORDS + 1 + 2 * word),
  planeWord: (row, _, word) => scaleWord(row, HALFWORDS, word),
  unpack(row, chunk, out, at) {
    const exponent = (row.field(0, chunk >> 1) >>> (16 * (chunk & 1))) & 0xff;
    const scale = exponent === 0 ? 0 : 2 ** (Math.min(exponent, LARGEST_SCALE) - 127);
    for (let i = 0; i < CHUNK; i++) {
      const code = nibble(row, chunk, i);
      out[at + i] = scale * (DOUBLED[code & 7] / 2) * (code > 7 ? -1 : 1);
    }
  },
  encode(values) {
    const blocks = new Uint8Array((values.length / CHUNK) * BYTES);
    for (let at = 0, from = 0; from < values.length; at += BYTES, from += CHUNK) {
      const own = values.subarray(from, from + CHUNK);
      const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      // The largest code is 6 = 1.5 · 2².
      const exponent = largest === 0 ? 1 : Math.max(1, Math.floor(Math.log2(largest)) - 2 + 127);
      blocks[at] = exponent;
      const code = (i: number) => nearest(own[i] / 2 ** (exponent - 127));
      for (let i = 0; i < CHUNK / 2; i++) blocks[at + 2 + i] = code(i) | (code(i + 16) << 4);
    }
    return blocks;
  },
};

function nearest(value: number): number {
  const distances = DOUBLED.map((doubled) => Math.abs(Math.abs(value) - doubled / 2));
  return distances.indexOf(Math.min(...distances)) | (value < 0 ? 8 : 0);
}
