/** `granitemoe`: granite with experts in place of every MLP, all of a layer in one tensor. */
import { activation, count, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { granite } from "./granite.ts";
import type { MoeSpec } from "./moe.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function graniteMoe(config: RawConfig): DecoderSpec {
  const spec = granite({ ...config, mlp_bias: false });
  const moe: MoeSpec = {
    router: {
      experts: count(config, "num_local_experts", 8),
      chosen: count(config, "num_experts_per_tok", 2),
      // Upstream takes the softmax of the chosen logits: the same weights.
      score: "softmax",
      choiceBias: false,
      renormaliseEps: 0,
      scale: 1,
    },
    ffnSize: spec.ffnSize,
    activation: activation(config),
    names: {
      router: "block_sparse_moe.router.layer",
      stacked: {
        gateUp: "block_sparse_moe.input_linear.weight",
        down: "block_sparse_moe.output_linear.weight",
      },
    },
  };
  return {
    ...spec,
    modelType: "granitemoe",
    layers: spec.layers.map((layer) => ({ ...layer, moe })),
  };
}
