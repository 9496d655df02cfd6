/** Plans that were handed out and have no outcome yet, in the order in which the GPU runs them. */
import { SchedulerError } from "./errors.ts";
import type { Sequence } from "./sequence.ts";
import type { PlanOutcome } from "./work-plan.ts";

interface InFlightPlan {
  readonly planId: number;
  /** One per sampled row, in row order. Not ids: an aborted id may already name another sequence. */
  readonly sampling: readonly Sequence[];
}

export class InFlight {
  readonly #plans: InFlightPlan[] = [];
  #nextPlanId = 0;

  get count(): number {
    return this.#plans.length;
  }

  /** @returns The new plan's id. */
  push(sampling: readonly Sequence[]): number {
    const planId = this.#nextPlanId++;
    this.#plans.push({ planId, sampling });
    return planId;
  }

  /**
   * Take the oldest plan out.
   * @returns What it sampled: sequence and whether that token ends it.
   * @throws {SchedulerError} "bad_outcome" when the outcome is not that plan's; nothing changes.
   */
  settle({ planId, sampled }: PlanOutcome): { sequence: Sequence; finished: boolean }[] {
    const plan = this.#plans.at(0);
    if (plan === undefined || plan.planId !== planId)
      throw new SchedulerError(
        "bad_outcome",
        `outcome of plan ${planId}, but ${plan ? `plan ${plan.planId} comes next` : "no plan is in flight"}; ` +
          "commit each plan once, in order",
      );
    const expected = plan.sampling.map((sequence) => sequence.id);
    const actual = sampled.map((entry) => entry.sequenceId);
    if (expected.length !== actual.length || expected.some((id, index) => id !== actual[index]))
      throw new SchedulerError(
        "bad_outcome",
        `outcome of plan ${planId} samples sequences [${actual}], the plan [${expected}]; ` +
          "give one entry per row with `sample`, in row order",
      );
    this.#plans.shift();
    return plan.sampling.map((sequence, i) => ({ sequence, finished: sampled[i].finished }));
  }
}
