/** Types of the OpenAI-shaped endpoints, for the public doors. */
export type { ChatApi } from "./chat.ts";
export type * from "./chat-answer.ts";
export type * from "./chat-request.ts";
export type * from "./completions.ts";
export type {
  Embedding,
  EmbeddingRequest,
  EmbeddingResponse,
  EmbeddingsApi,
} from "./embeddings.ts";
export type * from "./models.ts";
export type { SharedRequest } from "./shared-request.ts";
export type { CompletionUsage } from "./usage.ts";
