/**
 * 4-bit codes in groups of 32, 64 or 128 columns, as safetensors models have them. `affine4` is MLX's:
 * weight = scale · q + bias. `zeropoint4` is AWQ's and GPTQ's: weight = scale · (q − zero).
 *
 * A block is a group: two halfwords, its scale and its bias or zero point, then its nibbles in the
 * order of their columns, which is that of MLX's and GPTQ's words. Packed, the nibbles lie as in Q4_0,
 * the two halfwords in one plane.
 *
 * Weights are the f32 of the stored numbers. A 16-bit scale times a code is exact in f32, so a driver
 * that fuses multiplication and addition changes nothing. (An f32 scale would not be, and drivers do.)
 * @see mlx.core.dequantize; AutoAWQ `dequantize_gemm`; AutoGPTQ `QuantLinear.forward`.
 */
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "../half.ts";
import { wgsl } from "../kernel.ts";
import {
  type AffineFormatName,
  CHUNK,
  type GroupSize,
  type WeightFormat,
  type ZeroPointFormatName,
} from "./format.ts";
import { lessBytes, nibble } from "./q4-0.ts";

export const groupSizes: readonly GroupSize[] = [32, 64, 128];
const HEAD_HALFWORDS = 2;
const HEAD_BYTES = 4;

const scaleTypes = {
  f16: { decode: f16ToNumber, encode: numberToF16, wgsl: "unpack2x16float(fields)" },
  bf16: {
    decode: bf16ToNumber,
    encode: numberToBf16,
    wgsl: "bitcast<vec2<f32>>(vec2<u32>(fields << 16u, fields & 0xffff0000u))",
  },
} as const;
type ScaleType = keyof typeof scaleTypes;

/** What follows the scale, and how a weight is made of both. */
interface Kind {
  /** Of `q`, `c.scale` and `c.offset`. */
  readonly wgsl: string;
  /** Four signed bytes of `q`, four codes, and `(*c).offset`; an offset of the scale's type is left out. */
  readonly integerWgsl: string;
  /** The offset, from `fields` and the decoded `numbers`. */
  readonly offsetWgsl: string;
  readonly weight: (scale: number, offset: number, code: number) => number;
  readonly code: (scale: number, offset: number, weight: number) => number;
  /** The offset of a group that spans these values. */
  readonly choose: (lowest: number, scale: number) => number;
  /** Whether the offset is a number of the scale's type; else it is an integer. */
  readonly offsetIsScaled: boolean;
}

const affine: Kind = {
  wgsl: "(*c).scale * q + (*c).offset",
  integerWgsl: "q",
  offsetWgsl: "numbers.y",
  weight: (scale, bias, code) => scale * code + bias,
  code: (scale, bias, weight) => (weight - bias) / scale,
  choose: (lowest) => lowest,
  offsetIsScaled: true,
};

const zeroPoint: Kind = {
  wgsl: "(*c).scale * (q - (*c).offset)",
  integerWgsl: lessBytes("q", "u32((*c).offset) * 0x01010101u"),
  offsetWgsl: "f32(fields >> 16u)",
  weight: (scale, zero, code) => scale * (code - zero),
  code: (scale, zero, weight) => weight / scale + zero,
  choose: (lowest, scale) => Math.max(0, Math.min(15, Math.round(-lowest / scale))),
  offsetIsScaled: false,
};

function int4Group(
  name: AffineFormatName | ZeroPointFormatName,
  kind: Kind,
  type: ScaleType,
  group: GroupSize,
): WeightFormat {
  const { decode, encode, wgsl: numbers } = scaleTypes[type];
  /** Chunks of a group. */
  const chunks = group / CHUNK;
  const halfwords = HEAD_HALFWORDS + group / 4;
  const decodeOffset = kind.offsetIsScaled ? decode : (bits: number) => bits;
  const encodeOffset = kind.offsetIsScaled ? encode : (value: number) => value;
  return {
    name,
    block: { weights: group, bytes: 2 * halfwords },
    pieces: 1,
    planes: [{ chunks, words: 1 }],
    wgsl: wgsl`struct Chunk { codes: vec4<u32>, scale: f32, offset: f32 }
fn open_chunk(row: u32, chunk: u32) -> Chunk {
  let fields = plane0(row, chunk / ${chunks}u);
  let numbers = ${numbers};
  return Chunk(vec4<u32>(), numbers.x, ${kind.offsetWgsl});
}
fn take4(c: ptr<function, Chunk>, quad: u32) -> vec4<f32> {
  let codes = (*c).codes;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  let q = vec4<f32>(unpack4xU8(codes.x & 0x0f0f0f0fu));
  return ${kind.wgsl};
}`,
    integer: {
      wgsl: wgsl`fn take4_i8(c: ptr<function, Chunk>, quad: u32) -> u32 {
  let codes = (*c).codes;
  (*c).codes = vec4<u32>(codes.yzw, codes.x >> 4u);
  let q = codes.x & 0x0f0f0f0fu;
  return ${kind.integerWgsl};
}
fn scale_of(c: Chunk) -> f32 { return c.scale; }
${kind.offsetIsScaled ? "fn offset_of(c: Chunk) -> f32 { return c.offset; }" : ""}`,
      hasOffset: kind.offsetIsScaled,
    },
    fieldReads: 1,
    repackWgsl: wgsl`/** Four nibbles, each to a byte. */
fn spread(halfword: u32) -> u32 {
  let pairs = ((halfword & 0xff00u) << 8u) | (halfword & 0xffu);
  return ((pairs << 4u) | pairs) & 0x0f0f0f0fu;
}
fn code_word(chunk: u32, word: u32) -> u32 {
  let start = chunk / ${chunks}u * ${halfwords}u + ${HEAD_HALFWORDS}u;
  let at = start + chunk % ${chunks}u * 8u + word;
  return spread(word_at(at)) | (spread(word_at(at + 4u)) << 4u);
}
fn plane_word(plane: u32, word: u32) -> u32 { return word_at(word * ${halfwords}u); }`,
    repackReads: { code: 2, planes: [1] },
    codeWord(row, chunk, word) {
      const start = Math.floor(chunk / chunks) * halfwords + HEAD_HALFWORDS;
      const at = start + (chunk % chunks) * 8 + word;
      return (spread(row.word(at)) | (spread(row.word(at + 4)) << 4)) >>> 0;
    },
    planeWord: (row, _, word) => row.word(word * halfwords),
    unpack(row, chunk, out, at) {
      const fields = row.field(0, Math.floor(chunk / chunks));
      const scale = decode(fields & 0xffff);
      const offset = decodeOffset(fields >>> 16);
      for (let i = 0; i < CHUNK; i++) {
        out[at + i] = kind.weight(scale, offset, nibble(row, chunk, i));
      }
    },
    encode(values) {
      const blocks = new Uint8Array((values.length / group) * 2 * halfwords);
      const view = new DataView(blocks.buffer);
      for (let at = 0, from = 0; from < values.length; at += 2 * halfwords, from += group) {
        const weights = values.subarray(from, from + group);
        const lowest = Math.min(0, ...weights);
        view.setUint16(at, encode((Math.max(0, ...weights) - lowest) / 15), true);
        const scale = decode(view.getUint16(at, true));
        view.setUint16(at + 2, scale === 0 ? 0 : encodeOffset(kind.choose(lowest, scale)), true);
        const offset = decodeOffset(view.getUint16(at + 2, true));
        for (const [i, weight] of weights.entries()) {
          const code = scale === 0 ? 0 : Math.round(kind.code(scale, offset, weight));
          const nibble = Math.max(0, Math.min(15, code));
          blocks[at + HEAD_BYTES + (i >> 1)] |= nibble << (4 * (i & 1));
        }
      }
      return blocks;
    },
  };
}

function spread(halfword: number): number {
  const pairs = ((halfword & 0xff00) << 8) | (halfword & 0xff);
  return ((pairs << 4) | pairs) & 0x0f0f0f0f;
}

function variants<T extends AffineFormatName | ZeroPointFormatName>(
  prefix: "affine4" | "zeropoint4",
  kind: Kind,
): Readonly<Record<T, WeightFormat>> {
  const formats = (["f16", "bf16"] as const).flatMap((type) =>
    groupSizes.map((group) => {
      const name = `${prefix}_${type}_g${group}` as T;
      return [name, int4Group(name, kind, type, group)] as const;
    }),
  );
  return Object.fromEntries(formats) as Record<T, WeightFormat>;
}

export const affine4 = variants<AffineFormatName>("affine4", affine);
export const zeropoint4 = variants<ZeroPointFormatName>("zeropoint4", zeroPoint);
