/** The engine's embeddings as the AI SDK's `EmbeddingModelV3`. */
import type {
  EmbeddingModelV3,
  EmbeddingModelV3CallOptions,
  EmbeddingModelV3Result,
  SharedV3Warning,
} from "@ai-sdk/provider";
import { EngineModel } from "./engine-model.ts";
import { thrown } from "./outcome.ts";
import { EMBEDDING_FIELDS, ownOptions } from "./own-options.ts";

/** As OpenAI's: the AI SDK cuts longer lists. */
const MAX_INPUTS = 2048;

export class WeftEmbeddingModel extends EngineModel implements EmbeddingModelV3 {
  readonly maxEmbeddingsPerCall = MAX_INPUTS;
  readonly supportsParallelCalls = true;

  async doEmbed(options: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> {
    const { values, abortSignal: signal, providerOptions } = options;
    const warnings: SharedV3Warning[] = [];
    const request = {
      ...ownOptions(providerOptions, EMBEDDING_FIELDS, warnings),
      ...this.asked,
      input: values,
    };
    try {
      const { data, usage } = await this.engine.embeddings.create(request, { signal });
      const embeddings = data.map(({ embedding }) => [...embedding]);
      return { embeddings, usage: { tokens: usage.prompt_tokens }, warnings };
    } catch (error) {
      throw thrown(error, signal);
    }
  }
}
