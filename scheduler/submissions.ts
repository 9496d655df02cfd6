/**
 * Where a plan is cut into submissions, each of which takes a quantum at most, as predicted: between two
 * stages, so that one sublayer is the least. Prompts are planned to fit the quantum already; what does
 * not is a step of many answers, or a model whose every step is longer.
 */

import type { ResolvedConfig } from "./config.ts";
import { addWork, NO_WORK, type PlanWork } from "./cost-model.ts";
import type { PlannedRow, PlannedSubmission } from "./work-plan.ts";

/** Of a stage, so little more than a quantum is left is none: predictions are sums of floats. */
const ROUNDING = 1e-9;

export function submissionsOf(
  rows: readonly PlannedRow[],
  predictedMs: number,
  quantumMs: number,
  config: Pick<ResolvedConfig, "costs" | "stages" | "layerPlan">,
): PlannedSubmission[] {
  const { count } = config.stages;
  const whole = { to: count, predictedMs };
  // What the device decides is not known when the plan is cut.
  const isDecided = rows.some(({ layerPlan }) => layerPlan?.isRouted || layerPlan?.exits);
  if (predictedMs <= quantumMs || isDecided) return [whole];
  const times = stageTimes(rows, config);
  const total = times.reduce((sum, ms) => sum + ms, 0);
  const submissions: PlannedSubmission[] = [];
  let openMs = 0;
  for (let stage = 1; stage < count - 1; stage++) {
    // What any plan costs is spread over all.
    const ms = (times[stage] * predictedMs) / total;
    if (openMs > 0 && ms > 0 && openMs + ms > quantumMs * (1 + ROUNDING)) {
      submissions.push({ to: stage, predictedMs: openMs });
      openMs = 0;
    }
    openMs += ms;
  }
  return [...submissions, { to: count, predictedMs: openMs }];
}

/** Milliseconds by stage, for the rows that run it. */
function stageTimes(
  rows: readonly PlannedRow[],
  { costs, stages, layerPlan: standard }: Pick<ResolvedConfig, "costs" | "stages" | "layerPlan">,
): number[] {
  const { overheadMs = 0 } = costs;
  const known = new Map<string, number>();
  const times = new Array<number>(stages.count).fill(0);
  for (let stage = 1; stage < stages.count - 1; stage++) {
    const running = [...rows.keys()].filter((row) => {
      const { stages: range, layerPlan = standard } = rows[row];
      return stage >= range.from && stage < range.to && (layerPlan?.runs[stage] ?? true);
    });
    if (running.length === 0) continue;
    const key = running.join();
    const ms =
      known.get(key) ?? costs.predictMs(workOf(running.map((row) => rows[row]))) - overheadMs;
    known.set(key, ms);
    times[stage] = stages.stageShare(stage) * ms;
  }
  return times;
}

const workOf = (rows: readonly PlannedRow[]): PlanWork =>
  rows.reduce((sum, { tokens: { from, to } }) => {
    const numTokens = to - from;
    const numAttended = (numTokens * (from + to + 1)) / 2;
    return addWork(sum, { numTokens, numKvTokens: to, numAttended });
  }, NO_WORK);
