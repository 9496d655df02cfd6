/** Where a request goes first. Pure: what is known is passed in. */
import type { Priority } from "../../scheduler/priority.ts";
import type { OverflowReason } from "./overflow-metrics.ts";
import type { OverflowWhen } from "./overflow-options.ts";

export interface RouteFacts {
  readonly when: Required<OverflowWhen>;
  /** This engine has the model that the request names, or it names none. */
  readonly isLocalModel: boolean;
  /** Predicted, by class; none of an engine that does not answer any more. */
  readonly queueMs: Readonly<Record<Priority, number>> | undefined;
  readonly priority: Priority;
  readonly deadlineMs: number | undefined;
}

/** @returns Why it should go to the cluster; nothing where it should stay. */
export function overflowReason(facts: RouteFacts): OverflowReason | undefined {
  const { when, isLocalModel, queueMs, priority, deadlineMs } = facts;
  if (!isLocalModel) return when.model ? "model" : undefined;
  if (queueMs === undefined) return "lost";
  const waitMs = queueMs[priority];
  if (when.deadline && deadlineMs !== undefined && waitMs > deadlineMs) return "deadline";
  return waitMs > when.queueMs ? "queue" : undefined;
}
