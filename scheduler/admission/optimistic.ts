/** What is known now fits: memory is full at once, and growing answers take each other's blocks. */
import { countedBefore } from "./counted-once.ts";
import type { AdmissionPolicy } from "./policy.ts";

export function optimistic(): AdmissionPolicy {
  return {
    admits(candidate, running, { numBlocks, blockTokens }) {
      const counted = countedBefore();
      let needed = 0;
      for (const sequence of [...running, candidate])
        needed += Math.ceil((sequence.numTokens - counted(sequence)) / blockTokens);
      return needed <= numBlocks;
    },
  };
}
