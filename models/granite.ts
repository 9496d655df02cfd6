/** `granite`: llama with multipliers on embeddings, scores, what blocks add, and logits. */
import { multiplier, positive, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export const granite = (config: RawConfig): DecoderSpec => ({
  ...llama(config),
  ...graniteScales(config),
  modelType: "granite",
});

/** Upstream divides logits by `logits_scaling`. */
export function graniteScales(config: RawConfig) {
  const divisor = multiplier(config, "logits_scaling");
  return {
    embeddingScale: multiplier(config, "embedding_multiplier"),
    attentionScale: positive(config, "attention_multiplier", 1),
    residualScale: multiplier(config, "residual_multiplier"),
    logitScale: divisor && 1 / divisor,
  };
}
