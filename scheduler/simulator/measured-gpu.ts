/**
 * What a GPU's plans were seen to cost, with one model: rates that explain most of a plan's time, the
 * spread of the rest, and the delays around it. Fitted by fit.ts; knows no bytes and no FLOPs.
 */
import type { CostModel, PlanPart } from "../cost-model.ts";
import { dot } from "./least-squares.ts";

/** GPU time. Matrix kernels work row by row on few tokens, and on more of them in tiles. */
export interface MeasuredRates {
  /** Of any plan. */
  readonly planMs: number;
  /** For each token of a plan that has no more than FEW_TOKENS. */
  readonly rowMs: number;
  /** For each TILE_TOKENS tokens, begun or full, of one that has more. */
  readonly tileMs: number;
  /** For each pair of tokens of which one attends to the other. */
  readonly attendedMs: number;
}

export interface MeasuredGpu extends MeasuredRates {
  /** Times of plans over what the rates say, equally likely and 1 in the mean: each draws one. */
  readonly spread: readonly number[];
  /** From the end of a plan on the GPU to the begin of the next, where that waits. */
  readonly gapMs: number;
  /** From a plan to its submission, on the host. */
  readonly hostMs: number;
  readonly readbackMs: number;
}

export const isMeasured = (gpu: object): gpu is MeasuredGpu => "planMs" in gpu;

export const FEW_TOKENS = 16;
const TILE_TOKENS = 32;

/** How often a plan costs each of the rates, in their order. */
export function measuredTerms(parts: readonly PlanPart[]): [number, number, number, number] {
  let [rows, tiles, attended] = [0, 0, 0];
  for (const { work, share } of parts) {
    const { numTokens, numAttended } = work;
    if (numTokens <= FEW_TOKENS) rows += share * numTokens;
    else tiles += share * Math.ceil(numTokens / TILE_TOKENS);
    attended += share * numAttended;
  }
  return [1, rows, tiles, attended];
}

/** They may fall from FEW_TOKENS to the next, as the kernels' times do. */
export function measuredCosts(rates: MeasuredRates, mlpShare: number): CostModel {
  const { planMs, rowMs, tileMs, attendedMs } = rates;
  return {
    overheadMs: planMs,
    mlpShare,
    predictMs: (work) =>
      dot(measuredTerms([{ work, share: 1 }]), [planMs, rowMs, tileMs, attendedMs]),
  };
}
