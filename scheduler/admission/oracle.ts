/**
 * Past-Future with the true lengths, counted in blocks: the bound that the others are measured
 * against. Only a simulation can use it.
 */
import { SchedulerError } from "../errors.ts";
import type { Sequence } from "../sequence.ts";
import { countedBefore } from "./counted-once.ts";
import type { AdmissionPolicy } from "./policy.ts";

export function oracle(): AdmissionPolicy {
  return {
    admits(candidate, running, { numBlocks, blockTokens }) {
      // Blocks come back when the end is read, and those that run go on until then.
      const late = Math.max(...running.map(({ numUnreadTokens }) => numUnreadTokens));
      const futures = [...running, candidate].map((sequence) => ({
        used: sequence.numTokens,
        shared: sequence.shared,
        left: Math.max(0, outputTokens(sequence) - sequence.numSampledTokens - 1) + late,
      }));
      // Memory peaks when somebody is about to end; those that end later are still there.
      return futures.every(({ left: steps }) => {
        const counted = countedBefore();
        let blocks = 0;
        for (const future of futures)
          if (future.left >= steps)
            blocks += Math.ceil((future.used - counted(future) + steps) / blockTokens);
        return blocks <= numBlocks;
      });
    },
  };
}

function outputTokens({ id, outputTokens }: Sequence): number {
  if (outputTokens !== undefined) return outputTokens;
  throw new SchedulerError(
    "bad_request",
    `sequence ${id} says no outputTokens, which the admission policy "oracle" needs: ` +
      'give the number of tokens that it will sample, or use "past-future"',
  );
}
