// A desktop's mixed load: people who read, an editor that completes, agents, and work for the night.

import type { Priority, TraceRequest } from "../../../scheduler/index.ts";
import { type Random, seededRandom } from "../../../scheduler/random.ts";

interface Mix {
  readonly priority: Priority;
  readonly share: number;
  /** Least and most, evenly drawn. */
  readonly promptTokens: readonly [number, number];
  readonly outputTokens: readonly [number, number];
}

/** For the first token, and for all of a completion. */
export const DEADLINES_MS = { interactive: 500, completion: 200, agent: 5000 } as const;

const MIX: readonly Mix[] = [
  { priority: "interactive", share: 0.4, promptTokens: [50, 400], outputTokens: [20, 200] },
  { priority: "completion", share: 0.3, promptTokens: [32, 128], outputTokens: [2, 5] },
  { priority: "agent", share: 0.2, promptTokens: [500, 2500], outputTokens: [20, 100] },
  { priority: "background", share: 0.1, promptTokens: [1000, 4000], outputTokens: [100, 300] },
];

/**
 * Poisson arrivals, a second apart on average. Each completion comes from an editor of its own, so
 * that none supersedes another: here a dropped one would only be missed.
 */
export function mixedClasses(numRequests: number, seed: number): TraceRequest[] {
  const random = seededRandom(seed);
  let arrivalMs = 0;
  return Array.from({ length: numRequests }, (_, i) => {
    if (i > 0) arrivalMs -= 1000 * Math.log(1 - random());
    const { priority, promptTokens, outputTokens } = draw(random);
    return {
      ...{ arrivalMs, priority },
      deadlineMs: priority === "background" ? undefined : DEADLINES_MS[priority],
      client: priority === "completion" ? `editor ${i}` : priority,
      numPromptTokens: between(promptTokens, random),
      outputTokens: between(outputTokens, random),
    };
  });
}

function draw(random: Random): Mix {
  let above = random();
  for (const mix of MIX) {
    if (above < mix.share) return mix;
    above -= mix.share;
  }
  return MIX[MIX.length - 1];
}

const between = ([least, most]: readonly [number, number], random: Random): number =>
  least + Math.floor(random() * (most - least + 1));
