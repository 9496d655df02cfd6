/** Whether a layer plan has been made for the stages and KV groups that there are. */
import { SchedulerError, type SchedulerErrorCode } from "./errors.ts";
import type { LayerPlan } from "./work-plan.ts";

export interface PlanLengths {
  /** 2·L + 2 */
  readonly numStages: number;
  readonly numGroups: number;
}

/**
 * @param name Of the plan, as the caller knows it.
 * @throws {SchedulerError} With that code.
 */
export function checkLayerPlan(
  { runs, fills, keeps }: LayerPlan,
  { numStages, numGroups }: PlanLengths,
  name: string,
  code: SchedulerErrorCode,
): void {
  const refuse = (field: string, length: number, required: string) => {
    throw new SchedulerError(
      code,
      `${name} has ${length} ${field}, it needs ${required}; make it for the model it is to run`,
    );
  };
  const stages = `${numStages}, one per stage: 2 · ${numStages / 2 - 1} layers + 2`;
  if (runs.length !== numStages) refuse("runs", runs.length, stages);
  if (fills !== undefined && fills.length !== numStages) refuse("fills", fills.length, stages);
  if (keeps.length !== numGroups) refuse("keeps", keeps.length, `${numGroups}, one per KV group`);
}
