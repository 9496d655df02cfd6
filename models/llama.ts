/** `llama`: Llama 2 and 3, SmolLM, TinyLlama and others. Pre-norm, RoPE, grouped queries, SwiGLU. */
import { activation, count, flag, headSize, positive, type RawConfig, rope } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function llama(config: RawConfig): DecoderSpec {
  const headDim = headSize(config);
  const numHeads = count(config, "num_attention_heads");
  const bias = flag(config, "attention_bias", false);
  const ofAll = { rope: rope(config, headDim) };
  return {
    modelType: "llama",
    hiddenSize: count(config, "hidden_size"),
    numHeads,
    numKvHeads: count(config, "num_key_value_heads", numHeads),
    headDim,
    ffnSize: count(config, "intermediate_size"),
    vocabSize: count(config, "vocab_size"),
    maxPositions: count(config, "max_position_embeddings", 2048),
    normEps: positive(config, "rms_norm_eps", 1e-6),
    norms: "pre",
    activation: activation(config),
    qkvBias: bias,
    outputBias: bias,
    mlpBias: flag(config, "mlp_bias", false),
    qkNorm: false,
    tiedEmbeddings: flag(config, "tie_word_embeddings", false),
    layers: Array.from({ length: count(config, "num_hidden_layers") }, () => ofAll),
  };
}
