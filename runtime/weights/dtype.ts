/**
 * Element types: all that safetensors names, so that lengths can be checked, and those that the
 * engine computes with, with their way to f32.
 */
import { f16ToNumber } from "../../kernels/half.ts";
import { decodeBlocks } from "../../kernels/packed-matrix.ts";
import { type WeightFormatName, weightFormats } from "../../kernels/weight-format.ts";

export type WeightDtype = WeightFormatName;

/** Bytes of so many weights, which are whole blocks. */
export function storedBytes(dtype: WeightDtype, count: number): number {
  const { weights, bytes } = weightFormats[dtype].block;
  return (count / weights) * bytes;
}

/** The dtypes of safetensors with their bits per element. */
export const SAFETENSORS_BITS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    4: ["F4"],
    6: ["F6_E2M3", "F6_E3M2"],
    8: ["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0"],
    16: ["U16", "I16", "F16", "BF16"],
    32: ["U32", "I32", "F32"],
    64: ["U64", "I64", "F64", "C64"],
  }).flatMap(([bits, names]) => names.map((name) => [name, Number(bits)] as const)),
);

/** Those that the engine computes with. */
export const SAFETENSORS_DTYPES: ReadonlyMap<string, WeightDtype> = new Map([
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
]);

/** Little-endian elements as float32: exact for all types, NaN payloads aside. */
export function toFloat32(bytes: Uint8Array, dtype: WeightDtype): Float32Array<ArrayBuffer> {
  const { block } = weightFormats[dtype];
  // A copy aligns the view and leaves the piece's memory to its owner.
  const { buffer } = bytes.slice();
  if (dtype === "f32") return new Float32Array(buffer);
  if (block.weights > 1) return decodeBlocks(weightFormats[dtype], bytes);
  const halves = new Uint16Array(buffer);
  if (dtype === "f16") return Float32Array.from(halves, f16ToNumber);
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < words.length; i++) words[i] = halves[i] << 16;
  return new Float32Array(words.buffer);
}
