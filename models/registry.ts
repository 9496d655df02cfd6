/**
 * config.json's `model_type` to the file that knows it. A file is imported when a model of its family is
 * opened: a page downloads one of them.
 */
import type { RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { ModelError } from "./errors.ts";

type Reader = (config: RawConfig) => DecoderSpec;

const readers: ReadonlyMap<string, () => Promise<Reader>> = new Map(
  Object.entries({
    deepseek_v2: async () => (await import("./deepseek-v2.ts")).deepseekV2,
    deepseek_v3: async () => (await import("./deepseek-v3.ts")).deepseekV3,
    gemma2: async () => (await import("./gemma2.ts")).gemma2,
    gemma3_text: async () => (await import("./gemma3-text.ts")).gemma3Text,
    gpt_oss: async () => (await import("./gpt-oss.ts")).gptOss,
    granite: async () => (await import("./granite.ts")).granite,
    granitemoe: async () => (await import("./granitemoe.ts")).graniteMoe,
    granitemoeshared: async () => (await import("./granitemoe.ts")).graniteMoeShared,
    lfm2: async () => (await import("./lfm2.ts")).lfm2,
    lfm2_moe: async () => (await import("./lfm2-moe.ts")).lfm2Moe,
    llama: async () => (await import("./llama.ts")).llama,
    mistral: async () => (await import("./mistral.ts")).mistral,
    mixtral: async () => (await import("./mixtral.ts")).mixtral,
    olmo2: async () => (await import("./olmo2.ts")).olmo2,
    olmoe: async () => (await import("./olmoe.ts")).olmoe,
    phi3: async () => (await import("./phi3.ts")).phi3,
    qwen2: async () => (await import("./qwen2.ts")).qwen2,
    qwen2_moe: async () => (await import("./qwen2-moe.ts")).qwen2Moe,
    qwen3: async () => (await import("./qwen3.ts")).qwen3,
    qwen3_moe: async () => (await import("./qwen3-moe.ts")).qwen3Moe,
    smollm3: async () => (await import("./smollm3.ts")).smollm3,
  }),
);

/** @throws {ModelError} `unsupported_model`, `bad_config`. */
export async function readDecoderSpec(config: RawConfig): Promise<DecoderSpec> {
  const reader = readers.get(String(config.model_type));
  if (!reader) {
    throw new ModelError(
      "unsupported_model",
      `config.json has model_type ${JSON.stringify(config.model_type)}, Weft knows ` +
        `${[...readers.keys()].join(", ")}; choose a model of one of these families`,
    );
  }
  return (await reader())(config);
}
