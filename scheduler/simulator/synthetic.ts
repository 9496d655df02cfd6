/**
 * The built-in workload: a chat service whose lengths follow the quantiles below and whose requests
 * arrive independently of each other. Needs no file.
 */
import { seededRandom } from "../random.ts";
import type { TraceRequest } from "./trace.ts";

/**
 * Every 5 % from the least to the most, of the Azure conversation trace of 2023 (CC-BY; Splitwise,
 * ISCA 2024). Its few prompts above 4,200 tokens are left out.
 */
const PROMPT_TOKENS = [
  2, 181, 207, 372, 387, 396, 403, 414, 703, 984, 1020, 1045, 1071, 1097, 1130, 1189, 1315, 1877,
  2735, 4083, 4142,
];
const OUTPUT_TOKENS = [
  7, 41, 54, 67, 77, 85, 91, 96, 103, 113, 129, 151, 177, 217, 384, 395, 400, 411, 424, 451, 1000,
];
/** Replays scale time to the load they ask for, so any rate would do. */
const MEAN_GAP_MS = 1000;

/** @returns `numRequests`, the same ones for the same seed; gaps are exponential, the lengths drawn apart. */
export function syntheticTrace(numRequests: number, seed = 0): TraceRequest[] {
  const random = seededRandom(seed);
  let arrivalMs = 0;
  return Array.from({ length: numRequests }, (_, index) => {
    if (index > 0) arrivalMs -= MEAN_GAP_MS * Math.log(1 - random());
    const numPromptTokens = Math.round(quantile(PROMPT_TOKENS, random()));
    return {
      arrivalMs,
      numPromptTokens,
      outputTokens: Math.round(quantile(OUTPUT_TOKENS, random())),
    };
  });
}

/** @param share From 0, below 1. */
function quantile(knots: readonly number[], share: number): number {
  const at = share * (knots.length - 1);
  const below = Math.floor(at);
  return knots[below] + (at - below) * (knots[below + 1] - knots[below]);
}
