/** `olmo2`: llama with RMSNorm after each block instead of before, and over all queries and all keys. */
import type { RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { llama } from "./llama.ts";

/** @throws {ModelError} `bad_config`, `unsupported_model`. */
export const olmo2 = (config: RawConfig): DecoderSpec => ({
  ...llama({ rms_norm_eps: 1e-5, ...config, mlp_bias: false }),
  modelType: "olmo2",
  norms: "post",
  qkNorm: "row",
});
