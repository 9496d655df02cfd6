// Writes GGUF files, sound and broken ones: values are laid down as they are given, unchecked.

import { VALUE_TYPES, type ValueTypeName } from "../../../runtime/weights/gguf-types.ts";

export interface GgufParts {
  readonly magic?: string;
  readonly version?: number;
  readonly numTensors?: bigint;
  readonly numPairs?: bigint;
  readonly pairs?: readonly (readonly [key: string, value: Written])[];
  readonly tensors?: readonly WrittenTensor[];
  readonly data?: Uint8Array;
  readonly alignment?: number;
}

export interface WrittenTensor {
  readonly name: string;
  /** Columns first, as in the file. */
  readonly dims: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
  readonly numDims?: number;
}

/** Bytes of a value with its type before it. */
export type Written = readonly number[];

export function ggufFile(parts: GgufParts): Uint8Array<ArrayBuffer> {
  const { pairs = [], tensors = [], data = new Uint8Array(), alignment = 32 } = parts;
  const header = [
    ...new TextEncoder().encode(parts.magic ?? "GGUF"),
    ...u32(parts.version ?? 3),
    ...u64(parts.numTensors ?? tensors.length),
    ...u64(parts.numPairs ?? pairs.length),
    ...pairs.flatMap(([key, value]) => [...string(key), ...value]),
    ...tensors.flatMap(({ name, dims, type, offset, numDims = dims.length }) => [
      ...string(name),
      ...u32(numDims),
      ...dims.flatMap(u64),
      ...u32(type),
      ...u64(offset),
    ]),
  ];
  const padding = tensors.length > 0 ? (alignment - (header.length % alignment)) % alignment : 0;
  return Uint8Array.from([...header, ...new Uint8Array(padding), ...data]);
}

export const text = (value: string): Written => [...u32(8), ...string(value)];

export const scalar = (type: ValueTypeName, value: number | bigint | boolean): Written => [
  ...u32(VALUE_TYPES.indexOf(type)),
  ...bare(type, value),
];

export const texts = (values: readonly string[]): Written => [
  ...u32(9),
  ...u32(8),
  ...u64(values.length),
  ...values.flatMap(string),
];

export const numbers = (type: ValueTypeName, values: readonly (number | bigint)[]): Written => [
  ...u32(9),
  ...u32(VALUE_TYPES.indexOf(type)),
  ...u64(values.length),
  ...values.flatMap((value) => bare(type, value)),
];

function bare(type: ValueTypeName, value: number | bigint | boolean): number[] {
  const view = new DataView(new ArrayBuffer(8));
  const bytes = (length: number) => [...new Uint8Array(view.buffer, 0, length)];
  switch (type) {
    case "u64":
    case "i64":
      return u64(BigInt(value));
    case "f32":
      view.setFloat32(0, Number(value), true);
      return bytes(4);
    case "f64":
      view.setFloat64(0, Number(value), true);
      return bytes(8);
    case "u32":
    case "i32":
      return u32(Number(value));
    case "u16":
    case "i16":
      return u32(Number(value)).slice(0, 2);
    default:
      return [Number(value) & 0xff];
  }
}

export const string = (value: string): number[] => {
  const bytes = new TextEncoder().encode(value);
  return [...u64(bytes.length), ...bytes];
};

export const u32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];

export const u64 = (value: number | bigint): number[] => [
  ...new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, BigInt(value))).buffer),
];
