/** What loading a model measures: each format's rows from the file's order into the kernels'. */
import {
  bindingBytes,
  packedRead,
  repack,
  type WeightFormatName,
  weightFormats,
} from "../../kernels/index.ts";
import type { LabCase } from "./lab-case.ts";
import type { ModelShape } from "./model-shapes.ts";

/** Weights on their way from the file into the layout that kernels read. */
export function loadCases(
  { name: model, hiddenSize: D }: ModelShape,
  { formatsOf }: { formatsOf(role: string): readonly WeightFormatName[] },
): LabCase[] {
  return formatsOf("load").map((format) => {
    const kernel = repack(format);
    const { weights, bytes } = weightFormats[format].block;
    const sizes = { N: D, K: D, rows: D, from_row: 0, first_row: 0, to_row: 0, head_size: 0 };
    return {
      ...{
        model,
        operation: "repack",
        role: "load",
        rows: D,
        kernels: [kernel],
        inputs: () => ({}),
      },
      dims: {
        ...sizes,
        words: (D * (D / weights) * bytes) / 4,
        out_words: bindingBytes(packedRead("N,K", weightFormats[format]), sizes) / 4,
      },
    };
  });
}
