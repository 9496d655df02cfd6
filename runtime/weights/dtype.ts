/**
 * Element types: all that safetensors names, so that lengths can be checked, and the three that the
 * engine computes with, with their way to f32.
 */

export type WeightDtype = "f32" | "f16" | "bf16";

export const DTYPE_BYTES: Readonly<Record<WeightDtype, number>> = { f32: 4, f16: 2, bf16: 2 };

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

/** The engine's name for a safetensors dtype; undefined for those it does not compute with. */
export function weightDtype(safetensorsName: string): WeightDtype | undefined {
  switch (safetensorsName) {
    case "F32":
      return "f32";
    case "F16":
      return "f16";
    case "BF16":
      return "bf16";
    default:
      return undefined;
  }
}

/** Little-endian elements as float32: exact for all three types, NaN payloads aside. */
export function toFloat32(bytes: Uint8Array, dtype: WeightDtype): Float32Array<ArrayBuffer> {
  const count = bytes.byteLength / DTYPE_BYTES[dtype];
  // A copy aligns the view and leaves the piece's memory to its owner.
  const { buffer } = bytes.slice();
  if (dtype === "f32") return new Float32Array(buffer);
  const halves = new Uint16Array(buffer);
  if (dtype === "bf16") {
    const words = new Uint32Array(count);
    for (let i = 0; i < count; i++) words[i] = halves[i] << 16;
    return new Float32Array(words.buffer);
  }
  return Float32Array.from(halves, halfToFloat);
}

/** IEEE 754 binary16 to a number. */
function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
