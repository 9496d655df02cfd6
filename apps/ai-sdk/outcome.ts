/** How an answer ended, what it cost and why it failed, in the AI SDK's words. */
import type {
  JSONObject,
  JSONValue,
  LanguageModelV3FinishReason,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
} from "@ai-sdk/provider";
import type { CompletionUsage } from "../../worker.ts";
import { PROVIDER } from "./engine-model.ts";

/** OpenAI's: a cluster that requests may overflow to counts what its cache had. */
interface Cached {
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
}

const REASONS: Readonly<Record<string, LanguageModelV3FinishReason["unified"]>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool-calls",
  content_filter: "content-filter",
};

export const finishReason = (raw: string | null | undefined): LanguageModelV3FinishReason => ({
  unified: REASONS[raw ?? ""] ?? "other",
  raw: raw ?? undefined,
});

export function usageOf(
  usage: (CompletionUsage & Cached) | null | undefined,
): LanguageModelV3Usage {
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens;
  const prompt = usage?.prompt_tokens;
  const said = usage?.completion_tokens;
  return {
    inputTokens: {
      total: prompt,
      noCache: prompt !== undefined && cached !== undefined ? prompt - cached : undefined,
      cacheRead: cached,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: said,
      text: said !== undefined && reasoning !== undefined ? said - reasoning : undefined,
      reasoning,
    },
    ...(usage && { raw: { ...usage } as JSONObject }),
  };
}

/** @param logprobs Of the answer's tokens, where they were asked for. */
export const metadataOf = (
  logprobs: readonly JSONValue[],
): { readonly providerMetadata?: SharedV3ProviderMetadata } =>
  logprobs.length === 0 ? {} : { providerMetadata: { [PROVIDER]: { logprobs: [...logprobs] } } };

/** The AI SDK knows an abort by its name alone; any other error stays as it is, and is not tried again. */
export function thrown(error: unknown, signal: AbortSignal | undefined): unknown {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (code !== "aborted" || !signal?.aborted) return error;
  return new DOMException(String(message), "AbortError");
}
