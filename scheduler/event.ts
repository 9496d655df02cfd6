/** What a commit tells the runtime about sequences. Plain data. */
import type { Sequence } from "./sequence.ts";
import type { SequenceId } from "./work-plan.ts";

export interface SchedulerEvent {
  readonly type: "finished";
  readonly sequenceId: SequenceId;
  /** "stop": the outcome said so; "length": its last allowed token was read. */
  readonly reason: "stop" | "length";
  /** From `add` to its first plan. */
  readonly queueMs: number;
  /** From `add` to this commit. */
  readonly totalMs: number;
}

export function finishedEvent(
  { id, arrivalMs, queueMs }: Sequence,
  reason: SchedulerEvent["reason"],
  nowMs: number,
): SchedulerEvent {
  return { type: "finished", sequenceId: id, reason, queueMs, totalMs: nowMs - arrivalMs };
}
