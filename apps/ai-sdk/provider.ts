/**
 * Weft as a provider of the AI SDK (`ai` 6): models of an engine in this process, no HTTP between. Owns which
 * of them there are; what each does is theirs. Needs nothing of the AI SDK but its types.
 */
import type { EmbeddingModelV3, LanguageModelV3, ProviderV3 } from "@ai-sdk/provider";
import type { EngineApi } from "../../worker.ts";
import { WeftError } from "../../worker.ts";
import { WeftEmbeddingModel } from "./embedding-model.ts";
import { WeftLanguageModel } from "./language-model.ts";

export interface WeftProvider extends ProviderV3 {
  /** @param modelId One of several models of the engine; left out, the one that it answers with. */
  (modelId?: string): LanguageModelV3;
  languageModel(modelId?: string): LanguageModelV3;
  embeddingModel(modelId?: string): EmbeddingModelV3;
  /** @throws {WeftError} `bad_request`: Weft makes no images. */
  imageModel(modelId: string): never;
}

/**
 * Models for `generateText`, `streamText`, `generateObject`, `embed` and whatever else takes a model of the AI SDK.
 *
 * @example
 * const engine = await createEngine({ model: "https://example.org/Qwen3-0.6B" });
 * const { textStream } = streamText({ model: weft(engine)(), prompt: "Name three rivers." });
 * for await (const text of textStream) console.log(text);
 *
 * @throws {WeftError} `bad_request` for what is no engine.
 */
export function weft(engine: EngineApi): WeftProvider {
  if (typeof engine?.chat?.completions?.create !== "function") {
    const actual = (engine as unknown) instanceof Promise ? "a promise" : String(engine);
    throw new WeftError(
      "bad_request",
      `engine is ${actual}, it must be what createEngine has made; await it first`,
    );
  }
  const languageModel = (modelId?: string) => new WeftLanguageModel(engine, modelId);
  return Object.assign((modelId?: string) => languageModel(modelId), {
    specificationVersion: "v3" as const,
    languageModel,
    embeddingModel: (modelId?: string) => new WeftEmbeddingModel(engine, modelId),
    imageModel(modelId: string): never {
      throw new WeftError(
        "bad_request",
        `there is no image model ${JSON.stringify(modelId)}: Weft's models answer with text; ` +
          "take the images from another provider",
      );
    },
  });
}
