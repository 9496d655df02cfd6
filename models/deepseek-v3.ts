/**
 * `deepseek_v3`: deepseek_v2 whose router scores by sigmoid, with a learnt bias for the choice. Layers
 * behind `num_hidden_layers`, which predict further tokens, are not loaded.
 */
import type { RouterSpec } from "../kernels/router.ts";
import { count, flag, positive, type RawConfig, requireValue } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { deepseek, groups } from "./deepseek-v2.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function deepseekV3(config: RawConfig): DecoderSpec {
  requireValue(config, "scoring_func", "sigmoid");
  requireValue(config, "topk_method", "noaux_tc");
  const given = { ...V3_DEFAULTS, ...config };
  const router: RouterSpec = {
    ...{ experts: count(given, "n_routed_experts"), chosen: count(given, "num_experts_per_tok") },
    ...{ score: "sigmoid", choiceBias: true, groups: groups(given, "top2sum") },
    ...(flag(given, "norm_topk_prob", true) && { renormaliseEps: 1e-20 }),
    scale: positive(given, "routed_scaling_factor"),
  };
  return deepseek("deepseek_v3", given, router);
}

const V3_DEFAULTS = {
  ...{ q_lora_rank: 1536, first_k_dense_replace: 3, max_position_embeddings: 4096 },
  ...{ n_routed_experts: 256, n_shared_experts: 1, moe_intermediate_size: 2048 },
  ...{ num_experts_per_tok: 8, n_group: 8, topk_group: 4, routed_scaling_factor: 2.5 },
};
