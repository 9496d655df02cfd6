/** Plans that were handed out and have no outcome yet, in the order in which the GPU runs them. */
import type { PlanWork } from "./cost-model.ts";
import { SchedulerError } from "./errors.ts";
import type { Sequence } from "./sequence.ts";
import type { PlanOutcome } from "./work-plan.ts";

/** Of the completion latency, the newest observation's share. */
const SHARE_OF_NEWEST = 0.2;

export interface InFlightPlan {
  readonly planId: number;
  readonly work: PlanWork;
  readonly predictedMs: number;
  readonly plannedMs: number;
  /** One per sampled row, in row order. Not ids: an aborted id may already name another sequence. */
  readonly sampling: readonly Sequence[];
}

export class InFlight {
  readonly #plans: InFlightPlan[] = [];
  #nextPlanId = 0;
  #predictedMs = 0;
  #latencyMs = 0;
  /** When the GPU was done with the last plan that was settled. */
  #endMs = Number.NEGATIVE_INFINITY;

  get count(): number {
    return this.#plans.length;
  }

  /** GPU time of all of them, as predicted. */
  get predictedMs(): number {
    return this.#predictedMs;
  }

  /** From the end of a plan on the GPU to its commit, as far as that can be told; a running mean. */
  get completionLatencyMs(): number {
    return this.#latencyMs;
  }

  /** @returns The new plan's id. */
  push(plan: Omit<InFlightPlan, "planId">): number {
    const planId = this.#nextPlanId++;
    this.#plans.push({ planId, ...plan });
    this.#predictedMs += plan.predictedMs;
    return planId;
  }

  /**
   * Take the oldest plan out.
   * @returns What it was, and what it sampled: sequence and whether that token ends it.
   * @throws {SchedulerError} "bad_outcome" when the outcome is not that plan's; nothing changes.
   */
  settle({ planId, sampled, gpuMs }: PlanOutcome, nowMs: number): SettledPlan {
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
    this.#predictedMs = this.#plans.length === 0 ? 0 : this.#predictedMs - plan.predictedMs;
    // The GPU runs plans in order: each begins when it is there and the one before has ended.
    this.#endMs = Math.min(nowMs, Math.max(plan.plannedMs, this.#endMs) + gpuMs);
    this.#latencyMs += SHARE_OF_NEWEST * (nowMs - this.#endMs - this.#latencyMs);
    const ends = plan.sampling.map((sequence, i) => ({ sequence, ...sampled[i] }));
    return { work: plan.work, sampled: ends };
  }
}

interface SettledPlan {
  readonly work: PlanWork;
  readonly sampled: readonly { readonly sequence: Sequence; readonly finished: boolean }[];
}
