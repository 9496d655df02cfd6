/** What is known now fits: memory is full at once, and growing answers take each other's blocks. */
import type { AdmissionPolicy } from "./policy.ts";

export function optimistic(): AdmissionPolicy {
  return {
    admits(candidate, running, { numBlocks, blockTokens }) {
      let needed = 0;
      for (const { numTokens } of [...running, candidate])
        needed += Math.ceil(numTokens / blockTokens);
      return needed <= numBlocks;
    },
  };
}
