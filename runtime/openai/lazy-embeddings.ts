/** Embeddings of an engine, whose code comes with the first request: chat needs none of it. */
import type { EmbeddingHost, EmbeddingsApi } from "./embeddings.ts";

export type { EmbeddingsApi };

export const embeddingsApi = (engine: EmbeddingHost): EmbeddingsApi => ({
  create: async (request, options) =>
    (await import("./embeddings.ts")).createEmbeddings(engine, request, options),
});
