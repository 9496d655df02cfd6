/** Every kernel that models use: what the tests, the lab and `weft-llm/kernels` iterate over. */
import { gatedActivation } from "./activation.ts";
import { embedding } from "./embedding.ts";
import type { Epilogue } from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";
import { matmul } from "./matmul.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rowGather } from "./row-gather.ts";
import type { WeightFormatName } from "./weight-format.ts";

export * from "./errors.ts";
export * from "./kernel.ts";
export { moduleSource } from "./source.ts";

const formats: readonly WeightFormatName[] = ["f32", "f16", "bf16", "f16_native"];
const shapes = ["gemv", "small_m", "tile"] as const;
const tails = ["store", "residual", "silu", "gelu_tanh"] as const;
/** The epilogues that models use. */
const epilogues: readonly Epilogue[] = [false, true].flatMap((bias) =>
  tails.map((tail) => ({ bias, tail })),
);

export const matmulKernels: readonly Kernel[] = formats.flatMap((format) =>
  shapes.flatMap((shape) => epilogues.map((epilogue) => matmul({ format, shape, epilogue }))),
);

export const allKernels: readonly Kernel[] = [
  ...formats.map(embedding),
  rmsNorm,
  gatedActivation("silu"),
  gatedActivation("gelu_tanh"),
  rowGather,
  ...matmulKernels,
];
