/** `lfm2`: gated short convolutions, and between them attention with QK-norm; MLPs as llama's. */
import { count, flag, layerNumbers, layersOfType, positive, type RawConfig } from "./config.ts";
import type { DecoderLayer, DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export const lfm2 = (config: RawConfig): DecoderSpec =>
  convolving({ ...config, intermediate_size: ffnSize(config) });

/** What lfm2 and lfm2_moe share. */
export function convolving(config: RawConfig): DecoderSpec {
  const spec = llama({
    ...{ num_key_value_heads: 8, max_position_embeddings: 128_000, rope_theta: 1_000_000 },
    ...config,
    rms_norm_eps: positive(config, "norm_eps", 1e-5),
    tie_word_embeddings: flag(config, "tie_embedding", flag(config, "tie_word_embeddings", true)),
    ...{ attention_bias: false, mlp_bias: false, hidden_act: "silu" },
  });
  const taps = count(config, "conv_L_cache", 3);
  const convolution: DecoderLayer = {
    convolution: { taps, bias: flag(config, "conv_bias", false) },
  };
  const attending =
    config.full_attn_idxs == null ? undefined : new Set(layerNumbers(config, "full_attn_idxs"));
  const convolves = layersOfType(
    "conv",
    config,
    spec.layers.length,
    (layer) => attending !== undefined && !attending.has(layer),
  );
  return {
    ...spec,
    modelType: "lfm2",
    qkNorm: "head",
    tensorNames,
    layers: spec.layers.map((layer, index) => (convolves[index] ? convolution : layer)),
  };
}

const tensorNames = {
  input_layernorm: "operator_norm",
  post_attention_layernorm: "ffn_norm",
  "self_attn.q_norm": "self_attn.q_layernorm",
  "self_attn.k_norm": "self_attn.k_layernorm",
  "self_attn.o_proj": "self_attn.out_proj",
  "mlp.gate_proj": "feed_forward.w1",
  "mlp.up_proj": "feed_forward.w3",
  "mlp.down_proj": "feed_forward.w2",
  "model.norm": "model.embedding_norm",
};

/** Two thirds of what the config says, times a factor, rounded up; unless the config says it as it is. */
function ffnSize(config: RawConfig): number {
  const size = count(config, config.block_ff_dim == null ? "intermediate_size" : "block_ff_dim");
  if (!flag(config, "block_auto_adjust_ff_dim", true)) return size;
  const adjusted = Math.floor((2 * size) / 3);
  if (config.block_ffn_dim_multiplier === null) return adjusted;
  const multiple = count(config, "block_multiple_of", 256);
  const scaled = Math.floor(positive(config, "block_ffn_dim_multiplier", 1) * adjusted);
  return multiple * Math.ceil(scaled / multiple);
}
