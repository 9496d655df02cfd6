/** Plans that were handed out and have no outcome yet, in the order in which the GPU runs them. */
import type { PlanPart } from "./cost-model.ts";
import { SchedulerError } from "./errors.ts";
import type { Sequence } from "./sequence.ts";
import type { DraftRound } from "./speculation/round.ts";
import type { PlannedRow, PlanOutcome } from "./work-plan.ts";

/** Of the completion latency, the newest observation's share. */
const SHARE_OF_NEWEST = 0.2;

/** So long before the GPU is predicted to be done, the next plan is made; predictions err. */
const LEAST_LEAD_MS = 2;
const LEAD_SHARE = 0.1;

export interface InFlightPlan {
  readonly planId: number;
  readonly parts: readonly PlanPart[];
  readonly predictedMs: number;
  readonly plannedMs: number;
  /** Whose blocks the host has when it is settled. */
  readonly leaving: readonly Sequence[];
  /** One per sampled row, in row order. Not ids: an aborted id may already name another sequence. */
  readonly sampling: readonly Sampling[];
}

/** A row that samples. */
export interface Sampling {
  readonly sequence: Sequence;
  /** Of a row that drafts or verifies. */
  readonly round?: DraftRound;
  readonly kind: PlannedRow["kind"];
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

  /** When the GPU will have run all of them, as predicted; in the past when none is left. */
  get endMs(): number {
    const first = this.#plans.at(0);
    if (first === undefined) return Number.NEGATIVE_INFINITY;
    return Math.max(first.plannedMs, this.#endMs) + this.#predictedMs;
  }

  /** When the next plan is to be made, if the GPU is not to idle. */
  get wakeMs(): number {
    return this.endMs - Math.max(LEAST_LEAD_MS, LEAD_SHARE * this.#predictedMs);
  }

  /**
   * @param quantumMs What one more is predicted to take.
   * @param isAwaited Somebody waits for an outcome, and so for every plan before the one that he is in: no
   *   more than keep the GPU busy until the oldest has been read.
   */
  isFull(maxPlans: number, quantumMs: number, isAwaited: boolean): boolean {
    if (this.count < 2) return this.count >= maxPlans;
    const mostMs = 2 * quantumMs + this.#latencyMs;
    if (this.count >= maxPlans || this.#predictedMs + quantumMs > mostMs) return true;
    const behindOldestMs = this.#predictedMs - this.#plans[0].predictedMs;
    return isAwaited && behindOldestMs >= this.#latencyMs + LEAST_LEAD_MS;
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

  /** None of them will have an outcome. */
  clear(): void {
    this.#plans.length = 0;
    this.#predictedMs = 0;
  }

  /**
   * Take the oldest plan out.
   * @throws {SchedulerError} "bad_outcome" when the outcome is not that plan's; nothing changes.
   */
  settle({ planId, sampled, gpuMs }: PlanOutcome, nowMs: number): InFlightPlan {
    const plan = this.#plans.at(0);
    if (plan === undefined || plan.planId !== planId)
      throw new SchedulerError(
        "bad_outcome",
        `outcome of plan ${planId}, but ${plan ? `plan ${plan.planId} comes next` : "no plan is in flight"}; ` +
          "commit each plan once, in order",
      );
    const isAsPlanned = plan.sampling.every(
      ({ sequence: { id } }, row) => id === sampled.at(row)?.sequenceId,
    );
    if (!isAsPlanned || sampled.length !== plan.sampling.length)
      throw new SchedulerError(
        "bad_outcome",
        `outcome of plan ${planId} samples sequences [${sampled.map(({ sequenceId }) => sequenceId)}], ` +
          `the plan [${plan.sampling.map(({ sequence }) => sequence.id)}]; ` +
          "give one entry per row with `sample`, in row order",
      );
    this.#plans.shift();
    this.#predictedMs = this.#plans.length === 0 ? 0 : this.#predictedMs - plan.predictedMs;
    // The GPU runs plans in order: each begins when it is there and the one before has ended.
    this.#endMs = Math.min(nowMs, Math.max(plan.plannedMs, this.#endMs) + gpuMs);
    this.#latencyMs += SHARE_OF_NEWEST * (nowMs - this.#endMs - this.#latencyMs);
    return plan;
  }
}
