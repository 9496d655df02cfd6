/** A hash of all the code that a format's matrices may run: a measurement holds for that code alone. */
import { matmul, matmulShapes } from "../../kernels/matmul.ts";
import type { MatmulShape } from "../../kernels/matmul-shape.ts";
import { shapeVariants } from "../../kernels/matmul-variants.ts";
import { moduleSource } from "../../kernels/source.ts";
import type { WeightFormatName } from "../../kernels/weight-format.ts";

export function kernelsHash(format: WeightFormatName): string {
  let high = 0;
  let low = 0x811c9dc5;
  for (const { name: shape, prologues } of [
    ...Object.values<MatmulShape>(matmulShapes),
    ...shapeVariants,
  ]) {
    const prologue = prologues.at(-1);
    const kernel = matmul({ format, shape, prologue, epilogue: { bias: false, tail: "store" } });
    const source = moduleSource(kernel);
    // FNV-1a, and a second sum beside it: 64 bits are enough where nobody wants to collide.
    for (let i = 0; i < source.length; i++) {
      low = Math.imul(low ^ source.charCodeAt(i), 0x01000193);
      high = (Math.imul(high, 31) + source.charCodeAt(i)) | 0;
    }
  }
  return [high, low].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
