/** `qwen2`: llama with biases on Q, K and V, and a sliding window in the upper layers if asked for. */
import { count, flag, type RawConfig, unsupported } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function qwen2(config: RawConfig): DecoderSpec {
  const spec = llama({ ...config, attention_bias: false, mlp_bias: false });
  return {
    ...spec,
    modelType: "qwen2",
    qkvBias: true,
    layers: spec.layers.map((layer, index) => ({ ...layer, window: layerWindow(config, index) })),
  };
}

/** `layer_types` where present, else layers from `max_window_layers` on. */
export function layerWindow(config: RawConfig, layer: number): number | undefined {
  if (!flag(config, "use_sliding_window", false)) return undefined;
  const window = count(config, "sliding_window", 4096);
  const types = config.layer_types;
  if (types == null) return layer >= Number(config.max_window_layers ?? 28) ? window : undefined;
  const type = (types as readonly unknown[])[layer];
  if (type === "sliding_attention") return window;
  if (type === "full_attention") return undefined;
  throw unsupported(`layer_types[${layer}]`, type, "sliding_attention or full_attention");
}
