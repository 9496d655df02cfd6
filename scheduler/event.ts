/** What a commit, or a later request, tells the runtime about sequences. Plain data. */
import type { Sequence } from "./sequence.ts";
import type { SequenceId } from "./work-plan.ts";

export interface SchedulerEvent {
  readonly type: "finished";
  readonly sequenceId: SequenceId;
  /**
   * "stop": the outcome said so; "length": its last allowed token was read; "superseded": a later
   * completion of its client and program has come.
   */
  readonly reason: "stop" | "length" | "superseded";
  /** From `add` to its first plan; undefined if it had none. */
  readonly queueMs: number | undefined;
  /** From `add` to this event. */
  readonly totalMs: number;
}

export function endedEvent(
  { id, arrivalMs, queueMs }: Sequence,
  reason: SchedulerEvent["reason"],
  nowMs: number,
): SchedulerEvent {
  return { type: "finished", sequenceId: id, reason, queueMs, totalMs: nowMs - arrivalMs };
}
