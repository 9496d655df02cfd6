/** `olmoe`: llama with experts in place of every MLP, and RMSNorm over all queries and all keys. */
import { activation, count, flag, type RawConfig, requireValue } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";
import { type MoeSpec, softmaxRouter } from "./moe.ts";
import { qwenExperts } from "./qwen3-moe.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function olmoe(config: RawConfig): DecoderSpec {
  requireValue(config, "clip_qkv", null);
  const spec = llama({ rms_norm_eps: 1e-5, ...config, mlp_bias: false });
  const moe: MoeSpec = {
    router: softmaxRouter(
      count(config, "num_experts", 64),
      count(config, "num_experts_per_tok", 8),
      {
        renormalised: flag(config, "norm_topk_prob", false),
      },
    ),
    ffnSize: spec.ffnSize,
    activation: activation(config),
    names: qwenExperts,
  };
  return {
    ...spec,
    modelType: "olmoe",
    qkNorm: "row",
    layers: spec.layers.map((layer) => ({ ...layer, moe })),
  };
}
