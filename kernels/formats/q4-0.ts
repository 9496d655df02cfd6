/**
 * Q4_0: 32 nibbles and one f16 scale, weight = d · (q − 8). Low nibbles are weights 0 to 15, high ones
 * 16 to 31; the pieces of all 4-bit formats keep this order.
 * @see ggml `block_q4_0`, `quantize_row_q4_0_ref`.
 */
import { f16ToNumber, numberToF16 } from "../half.ts";
import { wgsl } from "../kernel.ts";
import { CHUNK, type WeightFormat } from "./format.ts";
import { scalePlane, scalePlaneWgsl, scaleWord, scaleWordWgsl } from "./scale-plane.ts";

const BYTES = 18;
const HALFWORDS = BYTES / 2;

/** Four signed bytes, q − less, of bytes of 0 to 15 and 0 to 31: none borrows from its neighbour. */
export const lessBytes = (q: string, less: string): string =>
  `((${q} | 0x80808080u) - ${less}) ^ 0x80808080u`;

export const q4_0: WeightFormat = {
  name: "q4_0",
  block: { weights: CHUNK, bytes: BYTES },
  pieces: 1,
  planes: [scalePlane],
  wgsl: wgsl`struct Chunk { codes: vec4<u32>, scale: f32 }
${scalePlaneWgsl}
fn open_chunk(row: u32, chunk: u32) -> Chunk { return Chunk(vec4<u32>(), chunk_scale(row, chunk)); }
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  return (*c).scale * (vec4<f32>(unpack4xU8(codes.x & 0x0f0f0f0fu)) - 8.0);
}`,
  integer: {
    wgsl: wgsl`fn take4_i8(c: ptr<function, Chunk>, quad: u32) -> u32 {
  let codes = (*c).codes;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  return ${lessBytes("(codes.x & 0x0f0f0f0fu)", "0x08080808u")};
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
    for (let i = 0; i < CHUNK; i++) out[at + i] = d * (nibble(row, chunk, i) - 8);
  },
  encode(values) {
    const blocks = new Uint8Array((values.length / CHUNK) * BYTES);
    const view = new DataView(blocks.buffer);
    for (let at = 0, from = 0; from < values.length; at += BYTES, from += CHUNK) {
      // The value farthest from zero becomes −8, the code that has no positive twin.
      let farthest = 0;
      for (let i = 0; i < CHUNK; i++) {
        if (Math.abs(values[from + i]) > Math.abs(farthest)) farthest = values[from + i];
      }
      const d = Math.fround(farthest / -8);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      // Rounded twice, as Python `gguf` does; C may contract the two to one fma.
      const code = (i: number) =>
        Math.min(15, Math.trunc(Math.fround(Math.fround(values[from + i] * inverse) + 8.5)));
      view.setUint16(at, numberToF16(d), true);
      for (let i = 0; i < CHUNK / 2; i++) blocks[at + 2 + i] = code(i) | (code(i + 16) << 4);
    }
    return blocks;
  },
};

/** Weight i of a chunk of any 4-bit piece. */
export const nibble = (
  row: { code(chunk: number, word: number): number },
  chunk: number,
  i: number,
): number => (row.code(chunk, (i & 15) >> 2) >>> (8 * (i & 3) + (i < 16 ? 0 : 4))) & 0xf;
