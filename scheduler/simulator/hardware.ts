/**
 * What the simulator runs on: a GPU and a model's shape, and what a plan costs there. Named profiles
 * have the round figures of their class; nothing here was measured.
 */
import { type CostModel, type PlanWork, type RooflineProfile, rooflineMs } from "../cost-model.ts";
import { isMeasured, type MeasuredGpu, measuredCosts } from "./measured-gpu.ts";

export interface HardwareProfile {
  readonly gpu: RatedGpu | MeasuredGpu;
  readonly model: ModelShape;
  /** Of a mixture whose experts do not all fit; default: they do. */
  readonly streaming?: {
    /** Of each layer's experts, those in the GPU's memory: 0 to 1. */
    readonly residentExperts: number;
    /** The others come from the host so fast. */
    readonly gbPerS: number;
  };
}

/** What a GPU's plans cost by its rates. */
export interface RatedGpu {
  readonly gbPerS: number;
  readonly tflopPerS: number;
  /** GPU time of a plan besides its bytes and arithmetic: submission, dispatches. */
  readonly submitMs: number;
  /** From the end of a plan on the GPU until the host has read what it sampled. */
  readonly readbackMs: number;
}

/** A decoder with full attention; every layer alike. */
export interface ModelShape {
  readonly numLayers: number;
  readonly hiddenSize: number;
  /** Of one expert, in a mixture of experts. */
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headSize: number;
  readonly vocabSize: number;
  readonly bytesPerWeight: number;
  readonly bytesPerKvValue: number;
  readonly numExperts?: number;
  /** Experts that a token goes through; with `numExperts`. */
  readonly numActiveExperts?: number;
}

const f16 = { bytesPerWeight: 2, bytesPerKvValue: 2 };
/** Four bits and a 16-bit scale for each 32 weights. */
const q4 = { bytesPerWeight: 4.5 / 8, bytesPerKvValue: 2 };

/** An integrated or entry desktop GPU; ten milliseconds are what browsers take to map a buffer. */
const desktop = { gbPerS: 100, tflopPerS: 3.6, submitMs: 1, readbackMs: 10 };
/** Shares two channels of laptop memory with the processor. */
const laptop = { gbPerS: 60, tflopPerS: 1.2, submitMs: 1.5, readbackMs: 15 };

const qwen3 = { headSize: 128, vocabSize: 151_936 };

const qwen3Mixture = {
  ...{ ...qwen3, ...q4, numLayers: 48, hiddenSize: 2048, intermediateSize: 768 },
  ...{ numHeads: 32, numKvHeads: 4, numExperts: 128, numActiveExperts: 8 },
};

export const hardwareProfiles = {
  "desktop-1.7b": {
    gpu: desktop,
    model: {
      ...{ ...qwen3, ...f16, numLayers: 28, hiddenSize: 2048, intermediateSize: 6144 },
      ...{ numHeads: 16, numKvHeads: 8 },
    },
  },
  "desktop-30b-a3b": { gpu: desktop, model: qwen3Mixture },
  /** A quarter of the experts fits; the others come over half of a PCIe 4 link when they are needed. */
  "desktop-30b-a3b-streamed": {
    gpu: desktop,
    model: qwen3Mixture,
    streaming: { residentExperts: 0.25, gbPerS: 12 },
  },
  "laptop-0.6b": {
    gpu: laptop,
    model: {
      ...{ ...qwen3, ...f16, numLayers: 28, hiddenSize: 1024, intermediateSize: 3072 },
      ...{ numHeads: 16, numKvHeads: 8 },
    },
  },
} as const satisfies Record<string, HardwareProfile>;

export type HardwareName = keyof typeof hardwareProfiles;

/** What plans take on the virtual GPU. */
export function hardwareCosts(hardware: HardwareProfile): CostModel {
  const { gpu, model } = hardware;
  if (isMeasured(gpu)) return measuredCosts(gpu, mlpShare(model));
  return ratedCosts(hardware, gpu);
}

function ratedCosts(hardware: HardwareProfile, gpu: RatedGpu): CostModel {
  const { model, streaming } = hardware;
  const { always, experts } = weights(model);
  const roofline = {
    ...modelRoofline(model),
    bytesPerSecond: 1e9 * gpu.gbPerS,
    flopsPerSecond: 1e12 * gpu.tflopPerS,
    overheadMs: gpu.submitMs,
  };
  const headWeights = model.vocabSize * model.hiddenSize;
  return {
    overheadMs: gpu.submitMs,
    mlpShare: mlpShare(model),
    predictMs(work: PlanWork): number {
      const touched = touchedExperts(model, work.numTokens);
      const weightBytes = model.bytesPerWeight * (always + touched * experts + headWeights);
      const onGpuMs = rooflineMs({ ...roofline, weightBytes }, work);
      if (streaming === undefined) return onGpuMs;
      // They come while the GPU works on what is there.
      const streamMs = streamedBytes(hardware, work.numTokens) / (1e6 * streaming.gbPerS);
      return Math.max(onGpuMs, gpu.submitMs + streamMs);
    },
  };
}

/** Bytes and arithmetic of a model, all of its weights read. */
export function modelRoofline(model: ModelShape): ModelRoofline {
  const { numExperts = 1, numActiveExperts = 1 } = model;
  const { always, experts } = weights(model);
  return {
    weightBytes: model.bytesPerWeight * (always + experts + model.vocabSize * model.hiddenSize),
    kvBytesPerToken:
      2 * model.numKvHeads * model.headSize * model.bytesPerKvValue * model.numLayers,
    flopsPerToken: 2 * (always + (numActiveExperts / numExperts) * experts),
    flopsPerAttended: 4 * model.numHeads * model.headSize * model.numLayers,
    mlpShare: mlpShare(model),
  };
}

type ModelRoofline = Omit<RooflineProfile, "bytesPerSecond" | "flopsPerSecond" | "overheadMs">;

/** Of the experts, those that at least one of n tokens goes to, were each token's drawn evenly. */
function touchedExperts({ numExperts = 1, numActiveExperts = 1 }: ModelShape, n: number): number {
  return 1 - (1 - numActiveExperts / numExperts) ** n;
}

/** Bytes of experts that come from the host when n tokens go through all layers in one plan. */
export function streamedBytes(hardware: HardwareProfile, numTokens: number): number {
  const { model, streaming } = hardware;
  const touched = touchedExperts(model, numTokens) * weights(model).experts;
  return (1 - (streaming?.residentExperts ?? 1)) * model.bytesPerWeight * touched;
}

/** By the weights that are read: exact where reading takes longest, and halves of a layer matter. */
export function mlpShare(model: ModelShape): number {
  const { numHeads, numKvHeads, headSize, numExperts = 1 } = model;
  const attention = 2 * (numHeads + numKvHeads) * headSize;
  const mlp = 3 * model.intermediateSize * numExperts;
  return mlp / (mlp + attention);
}

/**
 * Weights that every token goes through and those that are divided among experts. Norms and routers
 * are too small to count; the output head is read once per plan and computed for few rows.
 */
function weights(model: ModelShape): { always: number; experts: number } {
  const { hiddenSize, numHeads, numKvHeads, headSize, numLayers, numExperts } = model;
  const attention = 2 * hiddenSize * (numHeads + numKvHeads) * headSize;
  const mlp = 3 * hiddenSize * model.intermediateSize;
  return numExperts === undefined
    ? { always: numLayers * (attention + mlp), experts: 0 }
    : { always: numLayers * attention, experts: numLayers * numExperts * mlp };
}
