/**
 * All that run could reach their last allowed token together: nobody is ever taken back for want of
 * a block, and memory lies idle in proportion to how much shorter answers are than allowed.
 */
import type { AdmissionPolicy } from "./policy.ts";

export function conservative(): AdmissionPolicy {
  return {
    admits(candidate, running, { numBlocks, blockTokens }) {
      let needed = 0;
      for (const { numPromptTokens, maxTokens } of [...running, candidate])
        needed += Math.ceil((numPromptTokens + maxTokens - 1) / blockTokens);
      return needed <= numBlocks;
    },
  };
}
