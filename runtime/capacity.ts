/** How many sequences of a length the KV cache of a plan holds at once. */
import { worstCaseBlocks } from "../scheduler/admission/admission.ts";
import type { ModelPlan } from "./load-model.ts";

/** @returns 0 when not even one fits; at most the plan's `maxRows`. */
export function capacity(
  { kv, maxRows, maxTokensPerPlan }: Pick<ModelPlan, "kv" | "maxRows" | "maxTokensPerPlan">,
  contextTokens: number,
): number {
  // As answers: the chunks of a prompt need more of a window group, of a few sequences at a time.
  const request = { id: 0, numPromptTokens: 1, maxTokens: contextTokens };
  const fits = kv.groups.map((group) => {
    const needed = worstCaseBlocks(request, group, kv.blockTokens, maxTokensPerPlan);
    // Block 0 of each pool is the trash block.
    return Math.floor((group.numBlocks - 1) / needed);
  });
  return Math.min(maxRows, ...fits);
}
