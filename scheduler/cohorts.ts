/**
 * The rows of a plan by what they run: those that run the same stages are one cohort. Says what the GPU
 * does in which share of a forward pass: a stage's weights are read once for all who run it.
 */
import { addWork, NO_WORK, type PlanPart, type PlanWork } from "./cost-model.ts";
import type { Stages } from "./stages.ts";
import type { LayerPlan, StageRange } from "./work-plan.ts";

export interface Cohort {
  readonly work: PlanWork;
  readonly stages: StageRange;
  /** Undefined runs what rows run by default. */
  readonly layerPlan?: LayerPlan;
}

/** @param standard Of rows without a plan. */
export function cohortParts(
  cohorts: readonly Cohort[],
  stages: Stages,
  standard: LayerPlan | undefined,
): PlanPart[] {
  const parts = new Map<string, { work: PlanWork; share: number }>();
  for (let stage = 1; stage < stages.count - 1; stage++) {
    const running = cohorts.filter(({ stages: { from, to }, layerPlan = standard }) => {
      return stage >= from && stage < to && (layerPlan?.runs[stage] ?? true);
    });
    if (running.length === 0) continue;
    const key = running.map((cohort) => cohorts.indexOf(cohort)).join();
    const part = parts.get(key) ?? { work: sum(running), share: 0 };
    part.share += stages.stageShare(stage);
    parts.set(key, part);
  }
  return [...parts.values()];
}

const sum = (cohorts: readonly Cohort[]): PlanWork =>
  cohorts.reduce((total, { work }) => addWork(total, work), NO_WORK);
