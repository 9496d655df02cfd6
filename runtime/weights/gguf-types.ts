/**
 * The types that GGUF names by number: of metadata values, and of tensors with the size of their
 * blocks, so that every length can be checked whether or not the engine computes with the type.
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

import { bringPackedFormats } from "../../kernels/packed-formats.ts";
import type { WeightDtype } from "./dtype.ts";

bringPackedFormats();

export type ScalarTypeName =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "f32"
  | "bool"
  | "u64"
  | "i64"
  | "f64";

/** Index = GGUF's number; the numbers of "string" and "array" lie between. */
export const VALUE_TYPES = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;

export type ValueTypeName = (typeof VALUE_TYPES)[number];

export const SCALAR_BYTES: Readonly<Record<ScalarTypeName, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  u64: 8,
  i64: 8,
  f64: 8,
};

export interface TensorType {
  /** As ggml spells it, e.g. `Q4_K`. */
  readonly name: string;
  /** Weights along a row that share one block. */
  readonly blockWeights: number;
  readonly blockBytes: number;
}

/** By GGUF's number; those that ggml has removed are not here. */
export const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map(
  (
    [
      [0, "F32", 1, 4],
      [1, "F16", 1, 2],
      [2, "Q4_0", 32, 18],
      [3, "Q4_1", 32, 20],
      [6, "Q5_0", 32, 22],
      [7, "Q5_1", 32, 24],
      [8, "Q8_0", 32, 34],
      [9, "Q8_1", 32, 36],
      [10, "Q2_K", 256, 84],
      [11, "Q3_K", 256, 110],
      [12, "Q4_K", 256, 144],
      [13, "Q5_K", 256, 176],
      [14, "Q6_K", 256, 210],
      [15, "Q8_K", 256, 292],
      [16, "IQ2_XXS", 256, 66],
      [17, "IQ2_XS", 256, 74],
      [18, "IQ3_XXS", 256, 98],
      [19, "IQ1_S", 256, 50],
      [20, "IQ4_NL", 32, 18],
      [21, "IQ3_S", 256, 110],
      [22, "IQ2_S", 256, 82],
      [23, "IQ4_XS", 256, 136],
      [24, "I8", 1, 1],
      [25, "I16", 1, 2],
      [26, "I32", 1, 4],
      [27, "I64", 1, 8],
      [28, "F64", 1, 8],
      [29, "IQ1_M", 256, 56],
      [30, "BF16", 1, 2],
      [34, "TQ1_0", 256, 54],
      [35, "TQ2_0", 256, 66],
      [39, "MXFP4", 32, 17],
      [40, "NVFP4", 64, 36],
    ] as const
  ).map(([id, name, blockWeights, blockBytes]) => [id, { name, blockWeights, blockBytes }]),
);

/** Those that the engine computes with, by ggml's name. */
export const GGUF_DTYPES: ReadonlyMap<string, WeightDtype> = new Map([
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
  ["Q8_0", "q8_0"],
  ["Q4_0", "q4_0"],
  ["Q4_K", "q4_k"],
  ["Q5_K", "q5_k"],
  ["Q6_K", "q6_k"],
  ["MXFP4", "mxfp4"],
]);
