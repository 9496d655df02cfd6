/**
 * Q8_0: 32 signed bytes and one f16 scale, weight = d · q.
 * @see ggml `block_q8_0`, `quantize_row_q8_0_ref`.
 */
import { f16ToNumber, numberToF16 } from "../half.ts";
import { wgsl } from "../kernel.ts";
import { CHUNK, type WeightFormat } from "./format.ts";
import { scalePlane, scalePlaneWgsl, scaleWord, scaleWordWgsl } from "./scale-plane.ts";

const BYTES = 34;
const HALFWORDS = BYTES / 2;

export const q8_0: WeightFormat = {
  name: "q8_0",
  block: { weights: CHUNK, bytes: BYTES },
  pieces: 2,
  planes: [scalePlane],
  wgsl: wgsl`struct Chunk { codes: vec4<u32>, scale: f32 }
${scalePlaneWgsl}
fn open_chunk(row: u32, chunk: u32) -> Chunk { return Chunk(vec4<u32>(), chunk_scale(row, chunk)); }
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  (*c).codes = codes.yzwx;
  return (*c).scale * vec4<f32>(unpack4xI8(codes.x));
}`,
  integer: {
    wgsl: wgsl`fn take4_i8(c: ptr<function, Chunk>, quad: u32) -> u32 {
  let codes = (*c).codes;
  (*c).codes = codes.yzwx;
  return codes.x;
}
fn scale_of(c: Chunk) -> f32 { return c.scale; }`,
    hasOffset: false,
  },
  fieldReads: 1,
  repackWgsl: wgsl`fn code_word(chunk: u32, word: u32) -> u32 {
  return word_at(chunk * ${HALFWORDS}u + 1u + 2u * word);
}
${scaleWordWgsl(HALFWORDS)}`,
  repackReads: { code: 1, planes: [2] },
  codeWord: (row, chunk, word) => row.word(chunk * HALFWORDS + 1 + 2 * word),
  planeWord: (row, _, word) => scaleWord(row, HALFWORDS, word),
  unpack(row, chunk, out, at) {
    const d = f16ToNumber((row.field(0, chunk >> 1) >>> (16 * (chunk & 1))) & 0xffff);
    for (let i = 0; i < CHUNK; i++) {
      const byte = (row.code(chunk, i >> 2) >>> (8 * (i & 3))) & 0xff;
      out[at + i] = d * ((byte << 24) >> 24);
    }
  },
  encode(values) {
    const blocks = new Uint8Array((values.length / CHUNK) * BYTES);
    const view = new DataView(blocks.buffer);
    for (let at = 0, from = 0; from < values.length; at += BYTES, from += CHUNK) {
      let largest = 0;
      for (let i = 0; i < CHUNK; i++) largest = Math.max(largest, Math.abs(values[from + i]));
      const d = Math.fround(largest / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      view.setUint16(at, numberToF16(d), true);
      for (let i = 0; i < CHUNK; i++) {
        view.setInt8(at + 2 + i, roundHalfAway(Math.fround(values[from + i] * inverse)));
      }
    }
    return blocks;
  },
};

/** C's `roundf`. */
const roundHalfAway = (x: number): number => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
