/**
 * `gpt_oss`: llama with biases throughout, a sink per head, windows in alternate layers, YaRN, and in
 * place of every MLP experts whose SwiGLU is clamped.
 */
import { count, type RawConfig, requireValue, windowedLayers } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";
import { type MoeSpec, softmaxRouter } from "./moe.ts";

/** The published rotary settings; files of transformers leave out what is default there. */
const YARN = {
  ...{ rope_type: "yarn", factor: 32, beta_fast: 32, beta_slow: 1, truncate: false },
  ...{ original_max_position_embeddings: 4096 },
};

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function gptOss(config: RawConfig): DecoderSpec {
  requireValue(config, "hidden_act", "silu");
  requireValue(config, "swiglu_limit", 7);
  const spec = llama({
    ...{ head_dim: 64, rope_theta: 150_000, rms_norm_eps: 1e-5, attention_bias: true },
    ...{ max_position_embeddings: 131_072, rope_scaling: YARN },
    ...config,
    mlp_bias: false,
  });
  const experts = "mlp.experts";
  const moe: MoeSpec = {
    // Upstream takes the softmax of the chosen logits: the same weights.
    router: softmaxRouter(
      count(config, "num_local_experts", 128),
      count(config, "num_experts_per_tok", 4),
      {
        renormalised: true,
      },
    ),
    ffnSize: spec.ffnSize,
    activation: "clamped_swiglu",
    names: {
      router: "mlp.router",
      stacked: { gateUp: `${experts}.gate_up_proj`, down: `${experts}.down_proj` },
      biases: { gateUp: `${experts}.gate_up_proj_bias`, down: `${experts}.down_proj_bias` },
      alternate: true,
    },
  };
  const isWindowed = windowedLayers(config, spec.layers.length, (layer) => layer % 2 === 0);
  const window = count(config, "sliding_window", 128);
  return {
    ...spec,
    modelType: "gpt_oss",
    attentionSinks: true,
    layers: spec.layers.map((layer, i) => ({ ...layer, ...(isWindowed[i] && { window }), moe })),
  };
}
