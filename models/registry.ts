/** config.json's `model_type` to the file that knows it. */
import type { RawConfig } from "./config.ts";
import type { DecoderSpec } from "./decoder.ts";
import { deepseekV2 } from "./deepseek-v2.ts";
import { deepseekV3 } from "./deepseek-v3.ts";
import { ModelError } from "./errors.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3Text } from "./gemma3-text.ts";
import { gptOss } from "./gpt-oss.ts";
import { granite } from "./granite.ts";
import { graniteMoe, graniteMoeShared } from "./granitemoe.ts";
import { lfm2 } from "./lfm2.ts";
import { lfm2Moe } from "./lfm2-moe.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { olmo2 } from "./olmo2.ts";
import { olmoe } from "./olmoe.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen2Moe } from "./qwen2-moe.ts";
import { qwen3 } from "./qwen3.ts";
import { qwen3Moe } from "./qwen3-moe.ts";
import { smollm3 } from "./smollm3.ts";

const readers: ReadonlyMap<string, (config: RawConfig) => DecoderSpec> = new Map(
  Object.entries({
    ...{ gemma2, gemma3_text: gemma3Text, granite, lfm2, llama, mistral, olmo2 },
    ...{ phi3, qwen2, qwen3, smollm3 },
    ...{
      deepseek_v2: deepseekV2,
      deepseek_v3: deepseekV3,
      gpt_oss: gptOss,
      granitemoe: graniteMoe,
      granitemoeshared: graniteMoeShared,
      lfm2_moe: lfm2Moe,
      mixtral,
      olmoe,
      qwen2_moe: qwen2Moe,
      qwen3_moe: qwen3Moe,
    },
  }),
);

/** @throws {ModelError} `unsupported_model`, `bad_config`. */
export function readDecoderSpec(config: RawConfig): DecoderSpec {
  const reader = readers.get(String(config.model_type));
  if (!reader) {
    throw new ModelError(
      "unsupported_model",
      `config.json has model_type ${JSON.stringify(config.model_type)}, Weft knows ` +
        `${[...readers.keys()].join(", ")}; choose a model of one of these families`,
    );
  }
  return reader(config);
}
