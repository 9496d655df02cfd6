import { checkDecoderShape } from "../models/blocks.ts";
import type { RawConfig } from "../models/config.ts";
import type { DecoderSpec } from "../models/decoder.ts";
import { withLayerPlans } from "../models/layer-plan.ts";
import { rotatingEpilogue } from "../models/qkv.ts";
import { readDecoderSpec } from "../models/registry.ts";
import { activationWidths, headWidths, partialBytes } from "../models/tensors.ts";
import { decoderWeights, layerWeight } from "../models/weights.ts";
import type { AdapterPlan } from "./adapters/adapter-plan.ts";
import {
  checkHasIntegers,
  checkLatentRows,
  checkLatentStorage,
  checkLoadOptions,
  checkRoutable,
  checkUnpacks,
} from "./check-load-options.ts";
import type { Device } from "./device.ts";
import { WeftError } from "./errors.ts";
import type { ExpertPlan } from "./experts/expert-plan.ts";
import { type KvPlan, kvTokenBytes, planKvCache } from "./kv-cache.ts";
import type { LoadModelOptions } from "./load-options.ts";
import { loadWeights, maxShardRows } from "./load-weights.ts";
import { type ModelFolder, readText } from "./model-folder/model-folder.ts";
import { parseJsonFile } from "./model-folder/strict-json.ts";
import { ModelRunner } from "./model-runner.ts";
import type { StepSizeLimits } from "./model-runner-options.ts";
import { formatsOf, type PlacedWeight, placedBytes, placeWeights } from "./placed-weight.ts";
import { type KernelChoice, type RotatingMatrices, selectKernels } from "./select-kernels.ts";
import { openCheckpoint } from "./weights/open-checkpoint.ts";
import type { Quantisation } from "./weights/quantisation-config.ts";
import { quantisedCheckpoint } from "./weights/quantised-checkpoint.ts";
import { PIECE_BYTES } from "./weights/stream.ts";

/** Without a budget the KV cache gets room for this much, and no more bytes than that. */
const DEFAULT_TOKENS_PER_ROW = 2048;
const DEFAULT_KV_BYTES = 2 ** 30;

/** Of an engine whose device had no memory for all of the cache that its options allow. */
export interface KvShare {
  /** Of the KV cache that is planned otherwise; default 1. */
  readonly kvShare?: number;
}

/** What a model needs, from its headers alone. */
export interface ModelPlan extends StepSizeLimits {
  readonly spec: DecoderSpec;
  readonly weights: readonly PlacedWeight[];
  /** Where experts lie that do not all fit. */
  readonly experts?: ExpertPlan;
  readonly adapters?: AdapterPlan;
  /** Layers have routers. */
  readonly isRouted: boolean;
  /** On the device at once. */
  readonly weightBytes: number;
  readonly activationBytes: number;
  readonly kv: KvPlan;
  close(): Promise<void>;
}

/** Reads headers, not weights. @throws {WeftError} of every kind that loading can. */
export async function planModel(
  device: Device,
  folder: ModelFolder,
  options: LoadModelOptions & KvShare = {},
): Promise<ModelPlan> {
  checkLoadOptions(device, options);
  const config = parseJsonFile(
    await readText(folder, "config.json", options.signal),
    "config.json",
  );
  const bare = await readDecoderSpec(config as RawConfig);
  const anyLayer = { repeat: [...bare.layers.keys()] };
  const routed = options.layerRouters ? [anyLayer] : [];
  const spec = withLayerPlans(bare, [...(options.layerPlans ?? []), ...routed]);
  checkDecoderShape(spec);
  const quantisation = await quantisationOf(config as RawConfig);
  const files = await openCheckpoint(folder, options.signal);
  const checkpoint = await quantisedCheckpoint(files, quantisation);
  const opened: { close(): Promise<void> }[] = [checkpoint];
  const close = async () => {
    for (const file of opened) await file.close();
  };
  try {
    const base = placeWeights(decoderWeights(spec), checkpoint, options.quant);
    if (options.layerRouters) {
      const { layerRouterWeights } = await import("../models/layer-routers.ts");
      const routers = await openCheckpoint(options.layerRouters, options.signal);
      opened.push(routers);
      base.push(...placeWeights(layerRouterWeights(spec), routers));
    }
    const adapters = await addAdapters(spec, base, options, opened);
    const weights = adapters?.weights ?? base;
    if (options.activations === "i8") checkHasIntegers(weights);
    for (const weight of weights) {
      for (const run of weight.runs) maxShardRows(device, weight, run);
    }
    const experts = await capExperts(spec, weights, options);
    const memory = planMemory(device, spec, weights, options, experts);
    checkUnpacks(device, weights, memory.kv.storage);
    const isRouted = options.layerRouters !== undefined;
    if (isRouted) checkRoutable(spec, experts);
    return { spec, weights, experts, adapters, isRouted, ...memory, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function quantisationOf(config: RawConfig): Promise<Quantisation | undefined> {
  if ((config.quantization ?? config.quantization_config) == null) return undefined;
  const { readQuantisation } = await import("./weights/quantisation-config.ts");
  return readQuantisation(config);
}

/** Lengthens stacks of experts; undefined without adapters. @param opened Gets what is to be closed. */
async function addAdapters(
  spec: DecoderSpec,
  base: readonly PlacedWeight[],
  { adapters = {}, signal }: LoadModelOptions,
  opened: { close(): Promise<void> }[],
): Promise<AdapterPlan | undefined> {
  if (Object.keys(adapters).length === 0) return undefined;
  const { openAdapters } = await import("./adapters/adapter.ts");
  const { planAdapters } = await import("./adapters/adapter-plan.ts");
  const added = await openAdapters(adapters, spec, signal);
  opened.push(...added);
  return planAdapters(spec, base, added);
}

async function capExperts(
  spec: DecoderSpec,
  weights: readonly PlacedWeight[],
  { experts }: LoadModelOptions,
): Promise<ExpertPlan | undefined> {
  if (!experts) return undefined;
  const { planExperts } = await import("./experts/expert-plan.ts");
  return planExperts(spec, weights, experts);
}

export interface LoadedModel {
  readonly runner: ModelRunner;
  readonly plan: ModelPlan;
  readonly choice: KernelChoice;
}

/**
 * @param known What was chosen for a device of the same kind.
 * @throws {WeftError} as `planModel`, and `out_of_memory`.
 */
export async function loadModel(
  device: Device,
  folder: ModelFolder,
  options: LoadModelOptions & KvShare = {},
  known?: KernelChoice,
): Promise<LoadedModel> {
  const plan = await planModel(device, folder, options);
  let isInUse = false;
  try {
    const choice = known ?? (await chooseKernels(device, plan, options));
    const { experts: capped } = plan;
    const resident = plan.weights.filter((weight) => !capped?.placed.has(weight.spec.name));
    const weights = await loadWeights(device, resident, options);
    const experts = capped && (await residentExperts(device, plan, capped));
    const parts = { ...plan, device, weights, experts, kvPlan: plan.kv, matmul: choice.matmul };
    const runner = await ModelRunner.create(parts);
    isInUse = experts !== undefined;
    return { runner, plan, choice };
  } finally {
    if (!isInUse) await plan.close();
  }
}

async function residentExperts(device: Device, { spec, close }: ModelPlan, capped: ExpertPlan) {
  const { ResidentExperts } = await import("./experts/resident-experts.ts");
  return ResidentExperts.create(device, spec, capped, close);
}

async function chooseKernels(
  device: Device,
  plan: ModelPlan,
  options: LoadModelOptions,
): Promise<KernelChoice> {
  const matrices = plan.weights.filter(({ spec }) => !spec.vector);
  const rotating = rotatingMatrices(plan);
  const stacks = new Set(formatsOf(matrices.filter(({ spec }) => spec.stacked > 1)));
  const formats = new Set(formatsOf(matrices));
  const standard = await selectKernels(device, formats, rotating, { ...options, stacks });
  if (!options.tuning || device.info.kind !== "gpu") return standard;
  const { withFound } = await import("./tuning/found-shapes.ts");
  return withFound(device, standard, { cache: options.tuning, matrices, qkv: rotating });
}

function rotatingMatrices({ spec, weights, kv }: ModelPlan): RotatingMatrices | undefined {
  const epilogue = rotatingEpilogue(spec, kv.storage);
  const qkv = new Set(spec.layers.map((_, layer) => layerWeight(layer, "qkv")));
  const runs = weights.filter(({ spec: { name } }) => qkv.has(name)).flatMap(({ runs }) => runs);
  return epilogue && { formats: new Set(runs.map(({ format }) => format)), epilogue };
}

function planMemory(
  device: Device,
  spec: DecoderSpec,
  weights: readonly PlacedWeight[],
  options: LoadModelOptions & KvShare,
  experts: ExpertPlan | undefined,
) {
  const { kvShare = 1, maxRows = 16, maxTokensPerPlan = 512, blockTokens = 32 } = options;
  const maxDraftTokens = Math.min(options.maxDraftTokens ?? 8, maxTokensPerPlan - maxRows);
  const { maxLogitRows = maxRows + maxDraftTokens, memoryBudgetBytes } = options;
  const storage = options.kv ?? (weights.some(isF32Matrix) ? "f32" : "f16");
  checkLatentStorage(spec, storage);
  checkLatentRows(device, spec, maxTokensPerPlan);
  const allBytes = weights.reduce((sum, weight) => sum + placedBytes(weight), 0);
  const weightBytes = experts ? allBytes - experts.totalBytes + experts.poolBytes : allBytes;
  const maxParkedTokens = 2 * maxTokensPerPlan;
  const activationBytes =
    activationSize(spec, maxTokensPerPlan, maxLogitRows) +
    4 * spec.hiddenSize * maxParkedTokens +
    // Experts that come and go are staged for as long as the engine lives.
    (experts ? PIECE_BYTES : 0);
  const fixedBytes = weightBytes + activationBytes;
  const bytesPerToken = kvTokenBytes(spec, storage);
  if (memoryBudgetBytes !== undefined && memoryBudgetBytes <= fixedBytes) {
    const hasExperts = spec.layers.some(({ moe }) => moe) && !experts;
    throw new WeftError(
      "memory_budget_too_small",
      `memoryBudgetBytes is ${memoryBudgetBytes}; weights need ${weightBytes}, activations ` +
        `${activationBytes} and 1,000 tokens of KV cache ${1000 * bytesPerToken}: give at least ` +
        `${fixedBytes + 1000 * bytesPerToken}${hasExperts ? ", or let experts come and go (experts.memoryBytes)" : ""}`,
    );
  }
  const defaultTokens = maxRows * Math.min(spec.maxPositions, DEFAULT_TOKENS_PER_ROW);
  const kv = planKvCache(spec, {
    storage,
    blockTokens,
    budgetBytes:
      kvShare *
      (memoryBudgetBytes === undefined
        ? Math.min((defaultTokens + blockTokens) * bytesPerToken, DEFAULT_KV_BYTES)
        : memoryBudgetBytes - fixedBytes),
    limits: device.info.limits,
    maxTokensPerPlan,
    maxRows,
  });
  const fullGroups = kv.groups.filter(({ kind }) => kind !== "window");
  const poolTokens = Math.min(
    ...fullGroups.map(({ numBlocks }) => (numBlocks - 1) * blockTokens),
    spec.maxPositions,
  );
  return {
    weightBytes,
    activationBytes,
    kv,
    maxContext: poolTokens,
    maxTokensPerPlan,
    maxRows,
    maxLogitRows,
    maxDraftTokens,
    maxParkedTokens,
  };
}

function activationSize(spec: DecoderSpec, tokens: number, logitRows: number): number {
  const sum = (widths: Record<string, number>) =>
    Object.values(widths).reduce((total, width) => total + width, 0);
  return (
    4 * (sum(activationWidths(spec)) * tokens + sum(headWidths(spec)) * logitRows) +
    partialBytes(spec, 32)
  );
}

const isF32Matrix = ({ spec, runs }: PlacedWeight): boolean =>
  !spec.vector && runs.some(({ format }) => format === "f32");
