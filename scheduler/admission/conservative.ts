/**
 * All that run could reach their last allowed token together: nobody is ever taken back for want of
 * a block, and memory lies idle in proportion to how much shorter answers are than allowed.
 */
import { countedBefore } from "./counted-once.ts";
import type { AdmissionPolicy } from "./policy.ts";

export function conservative(): AdmissionPolicy {
  return {
    admits(candidate, running, { numBlocks, blockTokens }) {
      const counted = countedBefore();
      let needed = 0;
      for (const sequence of [...running, candidate]) {
        const most = sequence.numPromptTokens + sequence.maxTokens - 1;
        needed += Math.ceil((most - counted(sequence)) / blockTokens);
      }
      return needed <= numBlocks;
    },
  };
}
