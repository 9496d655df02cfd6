/** How much one request may ask of the server. What makes no sense at all is left to the engine to refuse. */
import { ApiError } from "./api-error.ts";
import type { JsonObject } from "./json-body.ts";

export type RequestKind = "chat" | "text" | "embeddings";

export interface RequestLimits {
  readonly maxPromptTokens?: number;
  readonly maxCompletionTokens?: number;
}

/** OpenAI's, of text completions that name no length. */
const TEXT_TOKENS = 16;

/** The request's own limits, as far as the server's allow them. @throws {ApiError} 400. */
export function limitFields(body: JsonObject, kind: RequestKind, limits: RequestLimits) {
  const { maxPromptTokens: longest, maxCompletionTokens: most } = limits;
  const own = body.max_prompt_tokens ?? longest;
  const prompt = typeof own === "number" && longest !== undefined ? Math.min(own, longest) : own;
  return {
    ...(prompt !== undefined && { max_prompt_tokens: prompt }),
    ...(most !== undefined && kind !== "embeddings" && completion(body, kind, most)),
  };
}

function completion(body: JsonObject, kind: RequestKind, most: number) {
  const field = body.max_completion_tokens == null ? "max_tokens" : "max_completion_tokens";
  const asked = body[field];
  if (asked == null) return { max_tokens: kind === "text" ? Math.min(most, TEXT_TOKENS) : most };
  if (typeof asked !== "number" || asked <= most) return {};
  const message = `${field} is ${asked}, this server gives at most ${most}; ask for fewer`;
  throw new ApiError(400, message, { code: "bad_request", param: field });
}

/**
 * Answers that a request asks for, which are under way at once. Texts to be embedded are one: they keep nothing
 * once they were read, and the scheduler takes as many of them as there is room for.
 */
export function answersOf({ n, prompt }: JsonObject): number {
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== "number" ? prompt.length : 1;
  const each = typeof n === "number" && Number.isSafeInteger(n) && n > 0 ? n : 1;
  return Math.max(1, prompts) * each;
}
