/** `phi3`: llama with Q, K and V in one tensor, gates and values in another, and LongRoPE. */
import { count, type RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function phi3(config: RawConfig): DecoderSpec {
  const spec = llama({
    ...{ rms_norm_eps: 1e-5, max_position_embeddings: 4096 },
    ...{ original_max_position_embeddings: 4096, ...config },
    ...{ attention_bias: false, mlp_bias: false },
  });
  const window = config.sliding_window == null ? undefined : count(config, "sliding_window");
  return {
    ...spec,
    modelType: "phi3",
    fusedProjections: true,
    layers: spec.layers.map((layer) => ({ ...layer, window })),
  };
}
