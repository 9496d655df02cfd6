/** What a completion took, in OpenAI's words. */
import type { Usage } from "../request.ts";

export interface CompletionUsage {
  readonly prompt_tokens: number;
  /** Of all answers. */
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
  /** Of a request with a layer policy: layers run for a token of the answer on average. */
  readonly layers_executed?: number;
  readonly lossy?: boolean;
}

export const completionUsage = (usages: readonly Usage[], reasoningTokens?: number) => {
  const sum = (count: (usage: Usage) => number) =>
    usages.reduce((total, usage) => total + count(usage), 0);
  const promptTokens = sum((usage) => usage.promptTokens);
  const completionTokens = sum((usage) => usage.completionTokens);
  const { lossy, layersExecuted } = usages[0];
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(reasoningTokens !== undefined && {
      completion_tokens_details: { reasoning_tokens: reasoningTokens },
    }),
    ...(lossy !== undefined && { layers_executed: layersExecuted, lossy }),
  } satisfies CompletionUsage;
};
