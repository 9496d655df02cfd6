/** Unquantised weights: f32, f16 and bf16, decoded exactly without any optional feature. */
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "../half.ts";
import { wgsl } from "../kernel.ts";
import type { WeightFormat } from "./format.ts";

interface PlainFormat {
  readonly name: "f32" | "f16" | "bf16";
  /** Four weights of `c.codes`. */
  readonly quad: string;
  /** What then moves the next four to the front. */
  readonly rotate: string;
  readonly decode: (bits: number) => number;
  readonly encode: (value: number) => number;
}

function plain({ name, quad, rotate, decode, encode }: PlainFormat): WeightFormat {
  const bytes = name === "f32" ? 4 : 2;
  const pieces = name === "f32" ? 8 : 4;
  /** u32 words of a chunk. */
  const words = 4 * pieces;
  return {
    name,
    block: { weights: 1, bytes },
    pieces,
    planes: [],
    wgsl: wgsl`struct Chunk { codes: vec4<u32> }
fn open_chunk(row: u32, chunk: u32) -> Chunk { return Chunk(vec4<u32>()); }
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  ${rotate}
  return ${quad};
}`,
    fieldReads: 0,
    repackWgsl: wgsl`fn code_word(chunk: u32, word: u32) -> u32 {
  return word_at(2u * (chunk * ${words}u + word));
}
fn plane_word(plane: u32, word: u32) -> u32 { return 0u; }`,
    repackReads: { code: 1, planes: [] },
    codeWord: (row, chunk, word) => row.word(2 * (chunk * words + word)),
    planeWord: () => 0,
    unpack(row, chunk, out, at) {
      for (let word = 0; word < words; word++) {
        const bits = row.code(chunk, word);
        if (bytes === 4) out[at + word] = decode(bits);
        else {
          out[at + 2 * word] = decode(bits & 0xffff);
          out[at + 2 * word + 1] = decode(bits >>> 16);
        }
      }
    },
    encode: (values) =>
      bytes === 4
        ? new Uint8Array(Float32Array.from(values).buffer)
        : new Uint8Array(Uint16Array.from(values, encode).buffer),
  };
}

const scratch = new DataView(new ArrayBuffer(4));

export const f32 = plain({
  name: "f32",
  quad: "bitcast<vec4<f32>>(codes)",
  rotate: "",
  decode(bits) {
    scratch.setUint32(0, bits);
    return scratch.getFloat32(0);
  },
  encode: (value) => value,
});

export const f16 = plain({
  name: "f16",
  quad: "vec4<f32>(unpack2x16float(codes.x), unpack2x16float(codes.y))",
  rotate: "(*c).codes = codes.zwxy;",
  decode: f16ToNumber,
  encode: numberToF16,
});

export const bf16 = plain({
  name: "bf16",
  quad: wgsl`bitcast<vec4<f32>>(vec4<u32>(codes.x << 16u, codes.x & 0xffff0000u, codes.y << 16u, codes.y & 0xffff0000u))`,
  rotate: "(*c).codes = codes.zwxy;",
  decode: bf16ToNumber,
  encode: numberToBf16,
});
