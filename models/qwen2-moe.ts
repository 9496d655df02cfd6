/** `qwen2_moe`: qwen2 with experts, and beside them one for every token behind a gate of its own. */
import { activation, count, flag, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { type MoeSpec, softmaxRouter } from "./moe.ts";
import { qwen2 } from "./qwen2.ts";
import { qwenExperts, sparseLayers } from "./qwen3-moe.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function qwen2Moe(config: RawConfig): DecoderSpec {
  const spec = qwen2(config);
  const moe: MoeSpec = {
    router: softmaxRouter(
      count(config, "num_experts", 60),
      count(config, "num_experts_per_tok", 4),
      {
        renormalised: flag(config, "norm_topk_prob", false),
      },
    ),
    ffnSize: count(config, "moe_intermediate_size"),
    activation: activation(config),
    shared: { ffnSize: count(config, "shared_expert_intermediate_size"), gated: true },
    names: {
      ...qwenExperts,
      shared: {
        gateUp: ["mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj"],
        down: "mlp.shared_expert.down_proj",
        gate: "mlp.shared_expert_gate",
      },
    },
  };
  const isSparse = sparseLayers(config);
  return {
    ...spec,
    modelType: "qwen2_moe",
    qkvBias: flag(config, "qkv_bias", true),
    layers: spec.layers.map((layer, index) => (isSparse(index) ? { ...layer, moe } : layer)),
  };
}
