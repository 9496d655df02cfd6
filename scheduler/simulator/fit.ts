/** From plans that ran to what plans cost: the GPU of a hardware profile, fitted. Runs nothing. */
import { SchedulerError } from "../errors.ts";
import { Stages } from "../stages.ts";
import type { WorkPlan } from "../work-plan.ts";
import { type ModelShape, mlpShare } from "./hardware.ts";
import { dot, nonNegativeFit } from "./least-squares.ts";
import { FEW_TOKENS, type MeasuredGpu, type MeasuredRates, measuredTerms } from "./measured-gpu.ts";
import { planParts } from "./plan-parts.ts";

/** A plan that ran; milliseconds on one clock. */
export interface MeasuredPlan {
  readonly plan: Pick<WorkPlan, "rows">;
  readonly plannedMs: number;
  readonly submittedMs: number;
  readonly gpuMs: number;
  /** When its tokens were at the host. */
  readonly readMs: number;
}

/** Ten to each rate: of fewer, chance decides. */
const LEAST_PLANS = 40;
/** Quantiles that are kept. */
const SPREAD = 20;

/**
 * Rates by regression over all plans, so that the sum of their times is right; what the rates do not
 * explain is kept as the spread.
 *
 * @param plans In the order they ran.
 * @throws {SchedulerError} "bad_config" of too few plans.
 */
export function fitGpu(plans: readonly MeasuredPlan[], model: ModelShape): MeasuredGpu {
  const timed = plans.filter(({ gpuMs }) => gpuMs > 0);
  if (timed.length < LEAST_PLANS)
    throw new SchedulerError(
      "bad_config",
      `only ${timed.length} plans were measured, and a fit needs ${LEAST_PLANS}; measure more requests`,
    );
  const stages = new Stages(model.numLayers, mlpShare(model));
  const terms = timed.map(({ plan }) => measuredTerms(planParts(plan, stages)));
  for (const [term, plan] of [
    [1, `at most ${FEW_TOKENS}`],
    [2, `more than ${FEW_TOKENS}`],
  ] as const)
    if (terms.every((of) => of[term] === 0))
      throw new SchedulerError(
        "bad_config",
        `no plan of ${plan} tokens was measured, so its cost is unknown; measure short and long prompts`,
      );
  const times = timed.map(({ gpuMs }) => gpuMs);
  const [planMs, rowMs, tileMs, attendedMs] = nonNegativeFit(terms, times);
  const rates: MeasuredRates = { planMs, rowMs, tileMs, attendedMs };
  const ratios = times.map((ms, i) => ms / dot(terms[i], [planMs, rowMs, tileMs, attendedMs]));
  return { ...rates, spread: spreadOf(ratios), ...delays(plans) };
}

/** Quantiles in the middle of as many equal shares, scaled so that their mean is 1. */
function spreadOf(ratios: readonly number[]): number[] {
  const ascending = [...ratios].sort((a, b) => a - b);
  const picked = Array.from(
    { length: SPREAD },
    (_, i) => ascending[Math.floor(((i + 0.5) / SPREAD) * ascending.length)],
  );
  const mean = picked.reduce((sum, ratio) => sum + ratio, 0) / SPREAD;
  return picked.map((ratio) => ratio / mean);
}

/** Of plans that waited on the GPU for the one before, the time between; of others, the way back. */
function delays(plans: readonly MeasuredPlan[]) {
  const gapsMs: number[] = [];
  const readbacksMs: number[] = [];
  let beforeMs = Number.NEGATIVE_INFINITY;
  for (const { submittedMs, gpuMs, readMs } of plans) {
    if (submittedMs < beforeMs) gapsMs.push(readMs - beforeMs - gpuMs);
    else readbacksMs.push(readMs - submittedMs - gpuMs);
    beforeMs = readMs;
  }
  const mean = gapsMs.reduce((sum, gap) => sum + gap, 0) / Math.max(1, gapsMs.length);
  return {
    gapMs: Math.max(0, mean),
    hostMs: median(plans.map(({ plannedMs, submittedMs }) => submittedMs - plannedMs)),
    readbackMs: Math.max(0, median(readbacksMs)),
  };
}

function median(values: readonly number[]): number {
  const ascending = [...values].sort((a, b) => a - b);
  return ascending[ascending.length >> 1] ?? 0;
}
