/**
 * `gemma2`: norms before and after each block, soft caps of scores and logits, scaled embeddings, GELU,
 * and a window in every second layer, the first one with it.
 */
import {
  activation,
  count,
  inOwnType,
  positive,
  positiveOrNone,
  type RawConfig,
  requireValue,
  windowedLayers,
} from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function gemma2(config: RawConfig): DecoderSpec {
  const spec = gemma(config);
  const isWindowed = windowedLayers(config, spec.layers.length, (layer) => layer % 2 === 0);
  const window = isWindowed.includes(true) ? count(config, "sliding_window", 4096) : undefined;
  return {
    ...spec,
    modelType: "gemma2",
    attentionCap: positiveOrNone(config, "attn_logit_softcapping", 50),
    logitCap: positiveOrNone(config, "final_logit_softcapping", 30),
    layers: spec.layers.map((layer, i) => (isWindowed[i] ? { ...layer, window } : layer)),
  };
}

/** What Gemma 2 and 3 have in common; defaults are those of transformers. */
export function gemma(config: RawConfig): DecoderSpec {
  if (config.use_bidirectional_attention != null) {
    requireValue(config, "use_bidirectional_attention", false);
  }
  const spec = llama({
    ...{ head_dim: 256, rms_norm_eps: 1e-6, tie_word_embeddings: true },
    ...config,
    ...{ hidden_act: "silu", mlp_bias: false },
  });
  return {
    ...spec,
    norms: "both",
    normOffset: 1,
    activation: activation(config, "hidden_activation", "gelu_pytorch_tanh"),
    attentionScale: 1 / Math.sqrt(positive(config, "query_pre_attn_scalar", 256)),
    embeddingScale: inOwnType(config, Math.sqrt(spec.hiddenSize)),
  };
}
