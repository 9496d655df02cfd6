/** `lfm2_moe`: lfm2 with experts in place of the MLP in all layers but the first. */
import { count, flag, positive, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { convolving } from "./lfm2.ts";
import type { MoeSpec } from "./moe.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function lfm2Moe(config: RawConfig): DecoderSpec {
  const spec = convolving(config);
  const moe: MoeSpec = {
    router: {
      experts: count(config, "num_experts", 32),
      chosen: count(config, "num_experts_per_tok", 4),
      score: "sigmoid",
      choiceBias: flag(config, "use_expert_bias", true),
      ...(flag(config, "norm_topk_prob", true) && { renormaliseEps: 1e-6 }),
      scale: positive(config, "routed_scaling_factor", 1),
    },
    ffnSize: count(config, "moe_intermediate_size"),
    activation: "silu",
    names: {
      router: "feed_forward.gate",
      choiceBias: "feed_forward.expert_bias",
      expert: (e) => ({
        gate: `feed_forward.experts.${e}.w1`,
        up: `feed_forward.experts.${e}.w3`,
        down: `feed_forward.experts.${e}.w2`,
      }),
      stacked: {
        gateUp: "feed_forward.experts.gate_up_proj",
        down: "feed_forward.experts.down_proj",
      },
    },
  };
  // Zero is a number of layers too.
  const numDense = config.num_dense_layers === 0 ? 0 : count(config, "num_dense_layers", 2);
  return {
    ...spec,
    modelType: "lfm2_moe",
    layers: spec.layers.map((layer, index) => (index < numDense ? layer : { ...layer, moe })),
  };
}
