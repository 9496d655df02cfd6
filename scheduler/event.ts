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
  { id, arrivalMs, startMs }: Sequence,
  reason: SchedulerEvent["reason"],
  nowMs: number,
): SchedulerEvent {
  const timing = { queueMs: startMs - arrivalMs, totalMs: nowMs - arrivalMs };
  return { type: "finished", sequenceId: id, reason, ...timing };
}
