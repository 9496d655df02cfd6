/** Every kernel that models use: what the tests, the lab and `weft-llm/kernels` iterate over. */
import { gatedActivation } from "./activation.ts";
import { attentionDecode } from "./attention-decode.ts";
import { attentionPrefill } from "./attention-prefill.ts";
import { attentionReduce, attentionReduceWithSinks } from "./attention-reduce.ts";
import { blockCopy } from "./block-copy.ts";
import { blockInfluence } from "./block-influence.ts";
import { embedding } from "./embedding.ts";
import type { Epilogue } from "./epilogue.ts";
import { exitGate } from "./exit-gate.ts";
import { expertBlocks } from "./expert-blocks.ts";
import { expertCombine } from "./expert-combine.ts";
import { gateDispatches } from "./gate-dispatches.ts";
import { headMatmul } from "./head-matmul.ts";
import type { Kernel } from "./kernel.ts";
import { kvStorages } from "./kv-layout.ts";
import { kvWrite } from "./kv-write.ts";
import { latentDecode } from "./latent-decode.ts";
import { latentStorages } from "./latent-layout.ts";
import { latentPrefill } from "./latent-prefill.ts";
import { latentWrite } from "./latent-write.ts";
import { layerRouter } from "./layer-router.ts";
import { lowRank } from "./low-rank.ts";
import { markedRows } from "./marked-rows.ts";
import { int8Shapes, matmul, matmulShapes } from "./matmul.ts";
import { anyOrderShapes } from "./matmul-any-order.ts";
import { rowsFor } from "./matmul-rows.ts";
import { MAX_WORKGROUP_BYTES, type MatmulShape } from "./matmul-shape.ts";
import { shapeVariants } from "./matmul-variants.ts";
import { listedFormats } from "./packed-formats.ts";
import { poolRows } from "./pool-rows.ts";
import type { Prologue } from "./prologue.ts";
import { qkNorm } from "./qk-norm.ts";
import { repack } from "./repack.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rmsNormResidual } from "./rms-norm-residual.ts";
import { rope } from "./rope.ts";
import { ropeKvWrite } from "./rope-kv-write.ts";
import { route } from "./route.ts";
import { rowConfidence } from "./row-confidence.ts";
import { rowCopy } from "./row-copy.ts";
import { rowGather } from "./row-gather.ts";
import { sampleArgmax } from "./sample-argmax.ts";
import { sampleDraw } from "./sample-draw.ts";
import { sampleHistory } from "./sample-history.ts";
import { sampleLogprobs } from "./sample-logprobs.ts";
import { sampleScores } from "./sample-scores.ts";
import { shortConv } from "./short-conv.ts";
import { shortConvWrite } from "./short-conv-write.ts";
import { type WeightFormatName, weightFormats } from "./weight-format.ts";
import { windowMeans } from "./window-means.ts";

export { gatedActivation } from "./activation.ts";
export { attentionDecode } from "./attention-decode.ts";
export { attentionPrefill } from "./attention-prefill.ts";
export { attentionReduce, attentionReduceWithSinks } from "./attention-reduce.ts";
export { attentionShapeDims, attentionWork } from "./attention-work.ts";
export { embedding } from "./embedding.ts";
export * from "./errors.ts";
export { blockCapacity, expertBlocks } from "./expert-blocks.ts";
export { headMatmul } from "./head-matmul.ts";
export { INTEGER_DOTS, roundsNormed, steadied, usesIntegerDots } from "./int8-activations.ts";
export * from "./kernel.ts";
export { kvWrite } from "./kv-write.ts";
export { latentDecode } from "./latent-decode.ts";
export { latentShapeDims } from "./latent-layout.ts";
export { latentPrefill } from "./latent-prefill.ts";
export { latentWrite } from "./latent-write.ts";
export { LAYER_DECISIONS, layerRouter, ROUTER_WIDTH } from "./layer-router.ts";
export { lowRank, MAX_RANK } from "./low-rank.ts";
export { int8Shapes, type MatmulVariant, matmul, matmulShapes, shapeNamed } from "./matmul.ts";
export { anyOrderShapes } from "./matmul-any-order.ts";
export { rowsFor } from "./matmul-rows.ts";
export type { MatmulShape } from "./matmul-shape.ts";
export { listedFormats } from "./packed-formats.ts";
export { packedRead } from "./packed-matrix.ts";
export { normal, seededRandom, uniform } from "./probe.ts";
export { qkNorm } from "./qk-norm.ts";
export { repack } from "./repack.ts";
export { rmsNorm } from "./rms-norm.ts";
export { rope } from "./rope.ts";
export { ropeKvWrite } from "./rope-kv-write.ts";
export { route, routeDims } from "./route.ts";
export { chooseExperts, type RouterSpec } from "./router.ts";
export { sampleArgmax } from "./sample-argmax.ts";
export { sampleDraw } from "./sample-draw.ts";
export { sampleHistory } from "./sample-history.ts";
export { sampleLogprobs } from "./sample-logprobs.ts";
export { maskWords, sampleScores, sampleTiles } from "./sample-scores.ts";
export { PLAIN, packSettings, SETTINGS_WORDS } from "./sample-settings.ts";
export { shortConv } from "./short-conv.ts";
export { shortConvWrite } from "./short-conv-write.ts";
export { moduleSource } from "./source.ts";
export { type WeightFormatName, weightFormats } from "./weight-format.ts";
export { MAX_WINDOWS, numWindows, windowMeans } from "./window-means.ts";
export {
  blockCopy,
  blockInfluence,
  exitGate,
  expertCombine,
  gateDispatches,
  markedRows,
  poolRows,
  rmsNormResidual,
  rowConfidence,
  rowCopy,
  rowGather,
};

const tails = ["store", "residual", "silu", "gelu_tanh"] as const;
/** The epilogues that models use. */
const epilogues: readonly Epilogue[] = [false, true].flatMap((bias) =>
  tails.map((tail) => ({ bias, tail })),
);

/** All but a norm before a residual add, which no model has. */
export const matmulKernels: readonly Kernel[] = listedFormats.flatMap((format) =>
  Object.values(matmulShapes).flatMap(({ name: shape, prologues }) =>
    prologues.flatMap((prologue) =>
      epilogues
        .filter(({ tail }) => prologue === "none" || tail !== "residual")
        .map((epilogue) => matmul({ format, shape, prologue, epilogue })),
    ),
  ),
);

/** QKV matrices of models without QK-norm, for few rows; the cache is f32 where the weights are. */
export const qkvKernels: readonly Kernel[] = listedFormats.flatMap((format) =>
  Object.values(matmulShapes)
    .filter(({ hasOctets }) => hasOctets)
    .flatMap(({ name: shape }) =>
      [false, true].map((bias) => {
        const tail = format === "f32" ? "rope_kv_f32" : "rope_kv_f16";
        return matmul({ format, shape, prologue: "norm", epilogue: { bias, tail } });
      }),
    ),
);

/** Tiles of 64 outputs take too much workgroup memory where each output takes two sums. */
const fitsGated = (shape: MatmulShape): boolean =>
  shape.workgroupBytes({
    format: weightFormats.q4_k,
    rowsPerOutput: 2,
    octets: false,
    rows: "all",
  }) <= MAX_WORKGROUP_BYTES;

/** Of the shapes that tuning chooses between: each format, and each kind of prologue and epilogue. */
export const variantKernels: readonly Kernel[] = shapeVariants.flatMap((shape) => {
  const of = (format: WeightFormatName, epilogue: Epilogue, prologue?: Prologue) =>
    matmul({ format, shape: shape.name, prologue, epilogue });
  const kernels = listedFormats.map((format) => of(format, { bias: false, tail: "store" }));
  kernels.push(of("q8_0", { bias: false, tail: "residual" }));
  if (fitsGated(shape)) {
    kernels.push(
      of("q4_k", { bias: false, tail: "silu" }),
      of("bf16", { bias: true, tail: "silu" }, shape.prologues.at(-1)),
    );
  }
  return kernels;
});

/** Of the shapes that round x to int8: each format, and each kind of prologue and epilogue. */
export const int8Kernels: readonly Kernel[] = Object.values<MatmulShape>(int8Shapes).flatMap(
  ({ name: shape, prologues, hasOctets }) => {
    const of = (format: WeightFormatName, epilogue: Epilogue, prologue?: Prologue) =>
      matmul({ format, shape, prologue, epilogue });
    const norm = prologues.at(-1);
    return [
      ...listedFormats
        .filter((format) => weightFormats[format].integer)
        .map((format) => of(format, { bias: false, tail: "store" })),
      of("q8_0", { bias: true, tail: "residual" }),
      of("q4_0", { bias: false, tail: "silu" }, norm),
      of("q4_k", { bias: true, tail: "gelu_tanh" }, norm),
      ...(hasOctets ? [of("q4_0", { bias: true, tail: "rope_kv_f16" }, norm)] : []),
    ];
  },
);

/** Epilogues of few families: each with a shape of each kind. */
export const scaledKernels: readonly Kernel[] = [
  matmul({ format: "f32", shape: "gemv", epilogue: { bias: false, tail: "scaled_store" } }),
  matmul({ format: "f16", shape: "small_m", epilogue: { bias: true, tail: "scaled_residual" } }),
  matmul({ format: "bf16", shape: "tile", epilogue: { bias: false, tail: "scaled_residual" } }),
  matmul({ format: "f16", shape: "gemv", epilogue: { bias: true, tail: "capped_store" } }),
  matmul({ format: "f32", shape: "tile", epilogue: { bias: false, tail: "capped_store" } }),
];

/** Of the shapes in no numeric class: formats with and without fields, a norm, and two sums an output. */
export const anyOrderKernels: readonly Kernel[] = anyOrderShapes.flatMap((shape) => {
  const of = (format: WeightFormatName, tail: "store" | "residual" | "silu", prologue?: Prologue) =>
    matmul({ format, shape: shape.name, prologue, epilogue: { bias: false, tail } });
  return [
    of("q8_0", "residual"),
    of("f16", "store", shape.prologues.at(-1)),
    ...(fitsGated(shape) ? [of("q4_k", "silu")] : []),
  ];
});

/** Of stacks of experts: each shape and both ways to take rows, formats with and without fields. */
export const expertMatrixKernels: readonly Kernel[] = Object.values<MatmulShape>(
  matmulShapes,
).flatMap((shape) => {
  const of = (format: WeightFormatName, epilogue: Epilogue, prologue?: Prologue) =>
    matmul({ format, shape: shape.name, prologue, epilogue, rows: rowsFor(shape) });
  return [
    of("bf16", { bias: false, tail: "silu" }, rowsFor(shape) === "slots" ? "norm" : "none"),
    of("q4_k", { bias: false, tail: "store" }),
    of("f16", { bias: true, tail: "silu" }),
    of("q8_0", { bias: true, tail: "store" }),
    of("mxfp4", { bias: true, tail: "clamped_swiglu" }),
  ];
});

export const expertKernels: readonly Kernel[] = [
  ...(["softmax", "sigmoid"] as const).flatMap((score) => [
    route({ score, choiceBias: false, groups: "none" }),
    route({ score, choiceBias: true, groups: "none" }),
  ]),
  route({ score: "softmax", choiceBias: false, groups: "none", adapted: true }),
  route({ score: "softmax", choiceBias: false, groups: "max" }),
  route({ score: "sigmoid", choiceBias: true, groups: "top2sum" }),
  expertBlocks,
  ...(["none", "plain", "gated"] as const).map((shared) =>
    expertCombine({ shared, identity: false }),
  ),
  expertCombine({ shared: "none", identity: true }),
];

export const attentionKernels: readonly Kernel[] = [
  ...kvStorages.flatMap((storage) => [
    kvWrite(storage),
    ropeKvWrite({ storage, qkNorm: false }),
    ropeKvWrite({ storage, qkNorm: true }),
    attentionDecode(storage),
    attentionPrefill(storage),
  ]),
  attentionReduce,
  attentionDecode("f16", { capped: true }),
  attentionPrefill("f16", { capped: true, sinks: true }),
  attentionReduceWithSinks,
  rope,
];

/** Of multi-head latent attention. */
export const latentKernels: readonly Kernel[] = [
  ...latentStorages.flatMap((to) => [latentWrite(to), latentDecode(to), latentPrefill(to)]),
  ...listedFormats.flatMap((format) => [headMatmul(format, "columns"), headMatmul(format, "rows")]),
];

/** Of layers that are skipped. */
export const layerKernels: readonly Kernel[] = [
  blockInfluence,
  windowMeans,
  layerRouter,
  gateDispatches,
  exitGate,
  markedRows,
  rowConfidence,
  lowRank("f32"),
  lowRank("f16"),
];

export const samplingKernels: readonly Kernel[] = [
  sampleScores,
  sampleDraw,
  sampleArgmax,
  sampleLogprobs,
  sampleHistory,
];

export const allKernels: readonly Kernel[] = [
  ...listedFormats.map((format) => embedding(format)),
  embedding("f16", { scaled: true }),
  ...listedFormats.map(repack),
  rmsNorm,
  rmsNormResidual,
  qkNorm,
  gatedActivation("silu"),
  gatedActivation("gelu_tanh"),
  gatedActivation("clamped_swiglu"),
  rowCopy,
  blockCopy,
  rowGather,
  poolRows,
  shortConvWrite,
  shortConv({ bias: false }),
  shortConv({ bias: true }),
  ...matmulKernels,
  ...qkvKernels,
  ...int8Kernels,
  ...scaledKernels,
  ...attentionKernels,
  ...latentKernels,
  ...layerKernels,
  ...samplingKernels,
  ...expertKernels,
  ...expertMatrixKernels,
];
