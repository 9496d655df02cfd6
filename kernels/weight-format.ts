/** Every weight format, by name. A new one is a file in formats/ and a line here. */
import type { WeightFormat, WeightFormatName } from "./formats/format.ts";
import { affine4, zeropoint4 } from "./formats/int4-group.ts";
import { mxfp4 } from "./formats/mxfp4.ts";
import { bf16, f16, f32 } from "./formats/plain.ts";
import { q4_0 } from "./formats/q4-0.ts";
import { q4_k } from "./formats/q4-k.ts";
import { q5_k } from "./formats/q5-k.ts";
import { q6_k } from "./formats/q6-k.ts";
import { q8_0 } from "./formats/q8-0.ts";

export type { WeightFormat, WeightFormatName } from "./formats/format.ts";

export const weightFormats: Readonly<Record<WeightFormatName, WeightFormat>> = {
  f32,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_k,
  q5_k,
  q6_k,
  mxfp4,
  ...affine4,
  ...zeropoint4,
};

/**
 * Formats of 4-bit groups differ in a divisor and in how scales decode: each divisor and each way is
 * here once. Pipelines are slow to build, and these stand for all.
 */
export const listedFormats: readonly WeightFormatName[] = (
  Object.keys(weightFormats) as WeightFormatName[]
).filter(
  (name) =>
    !/^(affine|zeropoint)4/.test(name) ||
    /^(affine4_(f16_g32|bf16_g64)|zeropoint4_f16_g128)$/.test(name),
);
