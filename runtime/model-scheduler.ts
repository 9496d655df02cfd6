/** The scheduler of a loaded model: its pools and sizes, and what its plans may cost. */
import type { DecoderSpec } from "../models/decoder.ts";
import { latentRow } from "../models/latent.ts";
import { stagePlan } from "../models/layer-plan.ts";
import type { SchedulerConfig } from "../scheduler/config.ts";
import { LearnedCosts, type RooflineProfile, UNKNOWN_DEVICE } from "../scheduler/cost-model.ts";
import { SchedulerError } from "../scheduler/errors.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { groupBlockBytes } from "./kv-cache.ts";
import type { ModelPlan } from "./load-model.ts";
import { countWeights } from "./placed-weight.ts";

export interface SchedulerOptions {
  /** Plans that may wait for their readback. Default 8. */
  readonly maxRunAhead?: number;
  /**
   * Predicted GPU milliseconds that a submission may take: what others wait for, an urgent request as
   * much as the page's next frame. Infinity for most tokens per second. Default 50 in Node, 8 in a
   * browser.
   */
  readonly quantumMs?: number;
  /**
   * Requests whose prompts begin alike share the keys and values of the beginning, also one after
   * another. Default true; no answer depends on it.
   */
  readonly prefixCache?: boolean;
  /**
   * Requests that are taken back may leave their keys and values in the host's memory, up to so many
   * bytes, where copying is predicted to be faster than computing again. Default 0: always computed.
   */
  readonly hostKvBytes?: number;
  /** For tests and comparisons: how prompts are cut. Default whichever is done sooner. */
  readonly cutBy?: SchedulerConfig["cutBy"];
  /** Fault injection, for tests alone: every n-th plan takes back a running sequence. */
  readonly forcePreemptionEvery?: number;
}

/** @throws {SchedulerError} `bad_config`. */
export function modelScheduler(plan: ModelPlan, options: SchedulerOptions): Scheduler {
  const { hostKvBytes = 0 } = options;
  if (!(hostKvBytes >= 0))
    throw new SchedulerError("bad_config", `hostKvBytes is ${hostKvBytes}; it must be 0 or more`);
  const bytesPerBlock = Math.max(...plan.kv.groups.map(groupBlockBytes));
  return new Scheduler({
    ...stageConfig(plan),
    blockTokens: plan.kv.blockTokens,
    maxTokensPerPlan: plan.maxTokensPerPlan,
    maxRows: plan.maxRows,
    maxDraftTokens: plan.maxDraftTokens,
    maxRunAhead: options.maxRunAhead,
    maxParkedTokens: plan.maxParkedTokens,
    maxHostBlocks: Math.floor(Math.min(hostKvBytes / bytesPerBlock, 2 ** 31)),
    // Each part of a prompt that is cut by tokens would have the experts of all layers uploaded anew.
    cutBy: options.cutBy ?? (plan.experts ? "layers" : undefined),
    costs: new LearnedCosts(profile(plan)),
    quantumMs: options.quantumMs,
    prefixCache: options.prefixCache,
    forcePreemptionEvery: options.forcePreemptionEvery,
  });
}

/** Of a model: what its rows run, and where they keep what. */
export function stageConfig({ spec, kv }: ModelPlan) {
  const { layers, repeatable = [] } = spec;
  return {
    numLayers: layers.length + repeatable.length,
    kvGroups: kv.groups,
    // Otherwise all stages are those that every row runs.
    layerPlan: repeatable.length > 0 ? stagePlan(spec, kv.groups, {}) : undefined,
  };
}

/** Bytes and FLOPs from the model's headers. */
function profile({ spec, weights, weightBytes, kv }: ModelPlan): RooflineProfile {
  const { layers, numHeads, numKvHeads, headDim, hiddenSize } = spec;
  const numWeights = countWeights(weights);
  const numAttending = layers.filter(({ convolution }) => !convolution).length;
  // Of an average layer, in rows of hidden size.
  const attention = (2 * (numHeads + numKvHeads) * headDim * numAttending) / layers.length;
  const convolution = 4 * hiddenSize * (1 - numAttending / layers.length);
  const mlp = 3 * spec.ffnSize;
  return {
    ...UNKNOWN_DEVICE,
    weightBytes,
    kvBytesPerToken: kv.tokenBytes,
    flopsPerToken: 2 * numWeights,
    flopsPerAttended: flopsPerAttended(spec),
    mlpShare: mlp / (mlp + attention + convolution),
  };
}

/** A product for the score and one for the value: of a head's dims, or of all that a latent row has. */
function flopsPerAttended({ layers, numHeads, headDim }: DecoderSpec): number {
  const dims = layers.map(({ latent, convolution }) => {
    if (convolution) return 0;
    return latent ? latentRow(latent) + latent.rank : 2 * headDim;
  });
  return 2 * numHeads * dims.reduce((sum, of) => sum + of, 0);
}
