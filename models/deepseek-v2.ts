/**
 * `deepseek_v2`: llama with latent attention, and in all but the first layers experts beside shared ones.
 * DeepSeek-V2-Lite projects its queries directly, DeepSeek-V2 by way of a latent of their own.
 */

import type { RouterSpec } from "../kernels/router.ts";
import {
  activation,
  count,
  flag,
  layersBefore,
  positive,
  type RawConfig,
  requireValue,
  rope,
  unsupported,
} from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import type { LatentSpec } from "./latent.ts";
import type { MoeNames, MoeSpec } from "./moe.ts";
import { qwenExperts } from "./qwen3-moe.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function deepseekV2(config: RawConfig): DecoderSpec {
  requireValue(config, "scoring_func", "softmax");
  // DeepSeek's code renormalises then, and leaves the scale out; transformers ignores the key.
  requireValue(config, "norm_topk_prob", false);
  const given = { ...V2_DEFAULTS, ...config };
  const router: RouterSpec = {
    ...{ experts: count(given, "n_routed_experts"), chosen: count(given, "num_experts_per_tok") },
    ...{ score: "softmax", choiceBias: false, scale: positive(given, "routed_scaling_factor") },
    ...(isGroupLimited(given) && { groups: groups(given, "max") }),
  };
  return deepseek("deepseek_v2", given, router);
}

const V2_DEFAULTS = {
  ...{ q_lora_rank: 1536, first_k_dense_replace: 0, max_position_embeddings: 2048 },
  ...{ n_routed_experts: 64, n_shared_experts: 2, moe_intermediate_size: 1407 },
  routed_scaling_factor: 1,
};

function isGroupLimited({ topk_method = "greedy" }: RawConfig): boolean {
  if (topk_method === "greedy") return false;
  if (topk_method === "group_limited_greedy") return true;
  throw unsupported("topk_method", topk_method, "greedy or group_limited_greedy");
}

/** Undefined where one group has all experts. */
export function groups(config: RawConfig, stat: "max" | "top2sum"): RouterSpec["groups"] {
  const number = count(config, "n_group");
  return number > 1 ? { count: number, kept: count(config, "topk_group"), stat } : undefined;
}

/** What both versions share. @param config With the version's own defaults. */
export function deepseek(modelType: string, config: RawConfig, router: RouterSpec): DecoderSpec {
  requireValue(config, "attention_bias", false);
  requireValue(config, "mlp_bias", false);
  requireValue(config, "rope_interleave", true);
  requireValue(config, "moe_layer_freq", 1);
  const latent = latentOf(config);
  const ofAll = { rope: rope(config, latent.ropeDims), latent };
  const expertSize = count(config, "moe_intermediate_size");
  const moe: MoeSpec = {
    router,
    ffnSize: expertSize,
    activation: activation(config),
    shared: { ffnSize: expertSize * count(config, "n_shared_experts"), gated: false },
    names,
  };
  const numDense = layersBefore(config, "first_k_dense_replace");
  const headDim = latent.nopeDims + latent.ropeDims;
  return {
    modelType,
    hiddenSize: count(config, "hidden_size"),
    numHeads: count(config, "num_attention_heads"),
    numKvHeads: 1,
    headDim,
    ffnSize: count(config, "intermediate_size"),
    vocabSize: count(config, "vocab_size"),
    maxPositions: count(config, "max_position_embeddings"),
    normEps: positive(config, "rms_norm_eps", 1e-6),
    norms: "pre",
    activation: activation(config),
    ...{ qkvBias: false, outputBias: false, mlpBias: false, qkNorm: false },
    attentionScale: yarnGrowth(config) ** 2 / Math.sqrt(headDim),
    tiedEmbeddings: flag(config, "tie_word_embeddings", false),
    layers: Array.from({ length: count(config, "num_hidden_layers") }, (_, layer) =>
      layer < numDense ? ofAll : { ...ofAll, moe },
    ),
  };
}

function latentOf(config: RawConfig): LatentSpec {
  return {
    rank: count(config, "kv_lora_rank", 512),
    ropeDims: count(config, "qk_rope_head_dim", 64),
    nopeDims: count(config, "qk_nope_head_dim", 128),
    valueDims: count(config, "v_head_dim", 128),
    ...(config.q_lora_rank != null && { queryRank: count(config, "q_lora_rank") }),
    // Neither DeepSeek's code nor transformers hands rms_norm_eps to these two norms.
    normEps: 1e-6,
  };
}

/** Of queries and keys alike, where YaRN stretches them; cosines and sines have a factor of their own. */
function yarnGrowth(config: RawConfig): number {
  const scaling = (config.rope_parameters ?? config.rope_scaling ?? {}) as RawConfig;
  const type = scaling.rope_type ?? scaling.type ?? "default";
  if (type === "default" || !scaling.mscale_all_dim) return 1;
  const factor = positive(scaling, "factor");
  return factor > 1 ? 0.1 * positive(scaling, "mscale_all_dim") * Math.log(factor) + 1 : 1;
}

const shared = "mlp.shared_experts";
const names: MoeNames = {
  ...qwenExperts,
  shared: {
    gateUp: [`${shared}.gate_proj`, `${shared}.up_proj`],
    down: `${shared}.down_proj`,
  },
  choiceBias: "mlp.gate.e_score_correction_bias",
};
