/** What a scheduler is built with. Owns defaults and checks; decides nothing. */
import { type AdmissionName, admissionPolicies } from "./admission/policies.ts";
import { checkLayerPlan } from "./check-layer-plan.ts";
import type { CostModel } from "./cost-model.ts";
import { SchedulerError } from "./errors.ts";
import { isPositiveInteger } from "./positive-integer.ts";
import { Stages } from "./stages.ts";
import type { KvGroup, LayerPlan } from "./work-plan.ts";

export interface SchedulerConfig {
  /** L: every row covers the stages [0, 2·L + 2). Layers that may run twice count twice. */
  readonly numLayers: number;
  readonly kvGroups: readonly KvGroup[];
  /** Of sequences that name none. Default: all stages run, and every group keeps what it is for. */
  readonly layerPlan?: LayerPlan;
  /** Tokens per KV block, the same in all groups. Default 32. */
  readonly blockTokens?: 16 | 32;
  /** Most tokens of one plan, over all rows; at least `maxRows`. Default 512. */
  readonly maxTokensPerPlan?: number;
  /** Most sequences running at once, hence most rows of a plan. Default 16, or `maxTokensPerPlan` if less. */
  readonly maxRows?: number;
  /**
   * Most drafts under way, over all sequences; a plan then samples from up to `maxRows` and so many rows.
   * Default 0: nobody drafts.
   */
  readonly maxDraftTokens?: number;
  /** Most plans that wait for their outcome; 1 plans in lockstep. Default 8. */
  readonly maxRunAhead?: number;
  /** GPU time of a plan; learns from each outcome. Default: every plan takes 0 ms. */
  readonly costs?: CostModel;
  /**
   * Bound on a plan's predicted time that prompt chunks are cut to; twice that, and the completion
   * latency, bounds what is in flight. Default unbounded; needs `costs`.
   */
  readonly quantumMs?: number;
  /**
   * How a prompt that exceeds the quantum is cut: by tokens, by layers, or by whichever is predicted
   * to be done sooner, the default. A quantum that holds no layer of a block cuts by tokens.
   */
  readonly cutBy?: "sooner" | "tokens" | "layers";
  /**
   * Tokens whose activations may wait between two plans for the layers that they lack, over all
   * sequences. Default 0: nothing is cut by layers.
   */
  readonly maxParkedTokens?: number;
  /**
   * Blocks, over all groups, that the host may keep of sequences that were taken back; needs a cost
   * model with `copyMs`. Default 0: they compute their tokens again.
   */
  readonly maxHostBlocks?: number;
  /** Who may start beside those that run. Default "past-future". */
  readonly admission?: AdmissionName;
  /** Whose turn it is. Default "priority"; "fcfs" to compare with. */
  readonly order?: "priority" | "fcfs";
  /** Sequences that begin alike share blocks, if their requests say `promptIds`. Default true. */
  readonly prefixCache?: boolean;
  /** Of what the policies draw. Default 0. */
  readonly seed?: number;
  /**
   * Fault injection, for tests alone: every n-th plan takes back the newest running sequence, even
   * a lone one, once it has sampled since it started. Default never.
   */
  readonly forcePreemptionEvery?: number;
}

export type ResolvedConfig = Required<Omit<SchedulerConfig, "layerPlan">> &
  Pick<SchedulerConfig, "layerPlan"> & { readonly stages: Stages };

/** @throws {SchedulerError} "bad_config". */
export function resolveConfig(config: SchedulerConfig): ResolvedConfig {
  const { numLayers, kvGroups, blockTokens = 32, maxTokensPerPlan = 512, maxRunAhead = 8 } = config;
  const { maxRows = Math.min(16, maxTokensPerPlan) } = config;
  const { costs = { predictMs: () => 0 }, quantumMs = Number.POSITIVE_INFINITY } = config;
  const { admission = "past-future", order = "priority", prefixCache = true, seed = 0 } = config;
  const { cutBy = "sooner", maxParkedTokens = 0, maxHostBlocks = 0, maxDraftTokens = 0 } = config;
  const { forcePreemptionEvery = Number.POSITIVE_INFINITY } = config;

  const positive = { numLayers, maxTokensPerPlan, maxRows, maxRunAhead };
  for (const [name, value] of Object.entries(positive))
    if (!isPositiveInteger(value)) refuse(`${name} is ${value}; it must be a positive integer`);
  if (blockTokens !== 16 && blockTokens !== 32)
    refuse(`blockTokens is ${blockTokens}; it must be 16 or 32`);
  // Otherwise a decoding sequence could find its place in a plan taken.
  if (maxTokensPerPlan < maxRows)
    refuse(
      `maxTokensPerPlan ${maxTokensPerPlan} is below maxRows ${maxRows}; ` +
        `each row needs a token: set maxRows to at most ${maxTokensPerPlan}`,
    );
  if (maxTokensPerPlan < maxRows + maxDraftTokens)
    refuse(
      `maxTokensPerPlan ${maxTokensPerPlan} is below maxRows ${maxRows} and maxDraftTokens ` +
        `${maxDraftTokens} together; set maxDraftTokens to at most ${maxTokensPerPlan - maxRows}`,
    );
  if (config.forcePreemptionEvery !== undefined && !isPositiveInteger(forcePreemptionEvery))
    refuse(`forcePreemptionEvery is ${forcePreemptionEvery}; it must be a positive integer`);
  if (!Object.hasOwn(admissionPolicies, admission))
    refuse(
      `admission is "${admission}"; it must be one of ${Object.keys(admissionPolicies).join(", ")}`,
    );
  if (order !== "priority" && order !== "fcfs")
    refuse(`order is "${order}"; it must be priority or fcfs`);
  if (cutBy !== "sooner" && cutBy !== "tokens" && cutBy !== "layers")
    refuse(`cutBy is "${cutBy}"; it must be sooner, tokens or layers`);
  for (const [name, value] of Object.entries({ maxParkedTokens, maxHostBlocks, maxDraftTokens }))
    if (!(Number.isSafeInteger(value) && value >= 0))
      refuse(`${name} is ${value}; it must be a whole number from 0 on`);
  if (!Number.isSafeInteger(seed)) refuse(`seed is ${seed}; it must be an integer`);
  checkQuantum(quantumMs);
  if (quantumMs !== Number.POSITIVE_INFINITY && config.costs === undefined)
    refuse(`quantumMs is ${quantumMs} without costs; give the cost model that it bounds`);
  if (kvGroups.length === 0) refuse("kvGroups is empty; declare at least one KV group");
  kvGroups.forEach(checkGroup);
  if (config.layerPlan) {
    const lengths = { numStages: 2 * numLayers + 2, numGroups: kvGroups.length };
    checkLayerPlan(config.layerPlan, lengths, "layerPlan", "bad_config");
  }
  const stages = new Stages(numLayers, costs.mlpShare ?? 0.5, config.layerPlan);
  return {
    ...positive,
    kvGroups,
    stages,
    layerPlan: config.layerPlan,
    blockTokens,
    costs,
    quantumMs,
    cutBy,
    maxParkedTokens,
    maxDraftTokens,
    maxHostBlocks,
    admission,
    order,
    prefixCache,
    seed,
    forcePreemptionEvery,
  };
}

/** @throws {SchedulerError} "bad_config". */
export function checkQuantum(quantumMs: number): void {
  if (!(quantumMs > 0)) refuse(`quantumMs is ${quantumMs}; it must be above 0`);
}

function checkGroup({ kind, window, numBlocks }: KvGroup, index: number): void {
  if (!isPositiveInteger(numBlocks) || numBlocks < 2)
    refuse(
      `KV group ${index} has ${numBlocks} blocks; it needs at least 2, ` +
        "since block 0 is the trash block: raise the KV memory budget",
    );
  if (kind === "window" && !isPositiveInteger(window ?? 0))
    refuse(`KV group ${index} is "window" with window ${window}; it must be a positive integer`);
  if (kind !== "window" && window !== undefined)
    refuse(`KV group ${index} is "${kind}" with window ${window}; leave the window out`);
}

function refuse(message: string): never {
  throw new SchedulerError("bad_config", message);
}
