/**
 * Weight formats of checkpoints that come packed: K-quants, MXFP4, 4-bit groups. A browser downloads them with
 * the first such checkpoint; whoever reads one, or lists all kernels, brings them.
 */
import { affine4, zeropoint4 } from "./formats/int4-group.ts";
import { mxfp4 } from "./formats/mxfp4.ts";
import { q4_k } from "./formats/q4-k.ts";
import { q5_k } from "./formats/q5-k.ts";
import { q6_k } from "./formats/q6-k.ts";
import { bringFormats, type WeightFormatName, weightFormats } from "./weight-format.ts";

export { type WeightFormat, type WeightFormatName, weightFormats } from "./weight-format.ts";

/** Any number of times. */
export function bringPackedFormats(): void {
  bringFormats({ q4_k, q5_k, q6_k, mxfp4, ...affine4, ...zeropoint4 });
}

bringPackedFormats();

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
