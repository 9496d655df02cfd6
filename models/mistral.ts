/** `mistral`: llama with an optional sliding window in every layer and no biases. */
import { count, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function mistral(config: RawConfig): DecoderSpec {
  const spec = llama({
    num_key_value_heads: 8,
    ...config,
    attention_bias: false,
    mlp_bias: false,
  });
  const window = config.sliding_window == null ? undefined : count(config, "sliding_window");
  return {
    ...spec,
    modelType: "mistral",
    layers: spec.layers.map((layer) => ({ ...layer, window })),
  };
}
