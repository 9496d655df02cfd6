/**
 * `gemma3_text`: Gemma 2 with QK-norm in place of the cap of scores, and two rotary embeddings: layers
 * with a window, five of six, have one of their own.
 */
import {
  count,
  positive,
  positiveOrNone,
  type RawConfig,
  requireValue,
  rope,
  windowedLayers,
} from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { gemma } from "./gemma2.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export function gemma3Text(config: RawConfig): DecoderSpec {
  requireValue(config, "attn_logit_softcapping", null);
  const { full, windowed } = ropeConfigs(config);
  const spec = gemma(full);
  const pattern = count(config, "sliding_window_pattern", 6);
  const isWindowed = windowedLayers(config, spec.layers.length, (i) => (i + 1) % pattern !== 0);
  const window = isWindowed.includes(true) ? count(config, "sliding_window", 4096) : undefined;
  const local = { rope: rope(windowed, spec.headDim), window };
  return {
    ...spec,
    modelType: "gemma3_text",
    qkNorm: "head",
    logitCap: positiveOrNone(config, "final_logit_softcapping"),
    layers: spec.layers.map((layer, i) => (isWindowed[i] ? { ...layer, ...local } : layer)),
  };
}

/** Published files have flat keys, whose scaling is for layers that see all; newer ones a set for each. */
function ropeConfigs(config: RawConfig): { full: RawConfig; windowed: RawConfig } {
  const sets = config.rope_parameters as Record<string, unknown> | null | undefined;
  const { rope_theta = 1_000_000, rope_scaling } = config;
  return {
    full: { ...config, rope_theta, rope_parameters: sets?.full_attention ?? rope_scaling },
    windowed: {
      rope_theta: positive(config, "rope_local_base_freq", 10_000),
      rope_parameters: sets?.sliding_attention,
    },
  };
}
