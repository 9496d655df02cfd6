/** `smollm3`: llama in which every fourth layer has no rotary positions (NoPE). */
import { count, type RawConfig, requireValue, unsupported } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function smollm3(config: RawConfig): DecoderSpec {
  requireValue(config, "use_sliding_window", false);
  const spec = llama({ tie_word_embeddings: true, rope_theta: 2_000_000, ...config });
  return {
    ...spec,
    modelType: "smollm3",
    layers: spec.layers.map((layer, index) => (isRotary(config, index) ? layer : noPositions)),
  };
}

const noPositions = {};

/** In `no_rope_layers`, 1 means that the layer does rotate; 0 that it does not. */
function isRotary(config: RawConfig, layer: number): boolean {
  const list = config.no_rope_layers;
  if (list == null) return (layer + 1) % count(config, "no_rope_layer_interval", 4) !== 0;
  const entry = (list as readonly unknown[])[layer];
  if (entry === 0 || entry === 1) return entry === 1;
  throw unsupported(`no_rope_layers[${layer}]`, entry, "0 or 1 for each layer");
}
