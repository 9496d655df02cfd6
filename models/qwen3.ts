/** `qwen3`: llama with RMSNorm over each query and key head, an explicit head size and no biases. */
import { count, type RawConfig, requireValue } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";
import { layerWindow } from "./qwen2.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function qwen3(config: RawConfig): DecoderSpec {
  requireValue(config, "attention_bias", false);
  const headDim = count(config, "head_dim", 128);
  const spec = llama({ ...config, head_dim: headDim, mlp_bias: false });
  return {
    ...spec,
    modelType: "qwen3",
    qkNorm: "head",
    layers: spec.layers.map((layer, index) => ({ ...layer, window: layerWindow(config, index) })),
  };
}
