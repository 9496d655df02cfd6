/** Who watches a step loop. Told of each thing as it happens; decides nothing and delays nothing. */
import type { SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { SequenceStart } from "./live-sequence.ts";

/** When a plan ran. Milliseconds on the loop's clock, as all times of an observer. */
export interface PlanTimes {
  readonly submittedMs: number;
  readonly gpuMs: number;
  /** Of each submission, where the device has measured it. */
  readonly submissionMs: readonly (number | undefined)[];
  /** When its tokens came to the host, which is when readers see them. */
  readonly readMs: number;
}

export interface LoopObserver {
  onAdd(id: SequenceId, start: SequenceStart, nowMs: number): void;
  /** Before it is recorded. */
  onPlan(plan: WorkPlan, nowMs: number): void;
  /**
   * Plans come back in the order they were made. Before the ends that it brings.
   * @param standing Of each row that samples: tokens that are the answer's; 0 of one that drafts.
   * @param ran Layers that rows ran which could leave off; 0 for all of them.
   */
  onCommit(
    plan: WorkPlan,
    times: PlanTimes,
    standing: readonly number[],
    ran?: ReadonlyMap<SequenceId, number>,
  ): void;
  /** The device is another: plans in flight never come back. */
  onLoss(): void;
  /** Once for each sequence; nothing of it is delivered from now on. */
  onEnd(id: SequenceId, end: "finished" | "aborted", nowMs: number): void;
}
