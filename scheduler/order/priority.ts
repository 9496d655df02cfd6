/**
 * Classes first, and a class gained for each half minute of waiting; then the client that was given
 * least; then the deadlines that can still be met, earliest first (FlowPrefill's feasible-first);
 * then by program and arrival. Who was taken back goes before the others of its class.
 */
import type { CostModel } from "../cost-model.ts";
import { PRIORITY_RANK } from "../priority.ts";
import type { Sequence } from "../sequence.ts";
import { FairShare, PROMPT_WEIGHT, SAMPLED_WEIGHT } from "./fair-share.ts";
import { Lines } from "./lines.ts";
import type { Order } from "./order.ts";
import { Programs } from "./programs.ts";

export const MS_PER_CLASS = 30_000;
/**
 * Who waits longer than this is starved by deadlines: every so many starts these do not
 * count. Classes do, having been gained, and clients, or the deepest backlog would be served first.
 */
const STARVED_MS = 20_000;
const STARTS_PER_STARVED = 8;

export function priorityOrder(costs: CostModel): Order {
  const fairShare = new FairShare();
  const programs = new Programs();
  // A deadline may become hopeless, and a program is older than its requests: a line for each.
  const lines = new Lines(({ deadlineMs, program, priority, client, id }) =>
    deadlineMs === undefined && program === undefined ? `${priority} ${client}` : `${id}`,
  );
  let numStarts = 0;

  const rankOf = ({ priority, arrivalMs }: Sequence, nowMs: number): number => {
    const gained = Math.floor((nowMs - arrivalMs) / MS_PER_CLASS);
    return Math.max(0, PRIORITY_RANK[priority] - gained);
  };

  /** Asked once per plan for each that may be next: what is dear comes last. */
  const isBefore = (a: Sequence, b: Sequence, nowMs: number, heedsDue: boolean): boolean => {
    const rank = rankOf(a, nowMs) - rankOf(b, nowMs);
    if (rank !== 0) return rank < 0;
    if (a.hasStarted !== b.hasStarted) return a.hasStarted;
    if (a.client !== b.client) {
      const given = fairShare.counterOf(a.client) - fairShare.counterOf(b.client);
      if (given !== 0) return given < 0;
    }
    if (heedsDue && (a.deadlineMs !== undefined || b.deadlineMs !== undefined)) {
      const dueA = feasibleDeadline(a, nowMs, costs);
      const dueB = feasibleDeadline(b, nowMs, costs);
      if (dueA !== dueB) return dueA < dueB;
    }
    const programA = programs.ticketOf(a);
    const programB = programs.ticketOf(b);
    return programA === programB ? a.ticket < b.ticket : programA < programB;
  };

  return {
    rankOf,
    next(nowMs) {
      if (numStarts % STARTS_PER_STARVED === STARTS_PER_STARVED - 1) {
        const byAge = firstOf(lines.heads(), (a, b) => isBefore(a, b, nowMs, false));
        if (byAge !== undefined && nowMs - byAge.arrivalMs > STARVED_MS) return byAge;
      }
      return firstOf(lines.heads(), (a, b) => isBefore(a, b, nowMs, true));
    },
    waits(sequence, nowMs) {
      lines.add(sequence);
      fairShare.waits(sequence.client);
      programs.touch(sequence, nowMs);
    },
    leaves(sequence, nowMs) {
      lines.remove(sequence);
      fairShare.leaves(sequence.client);
      programs.touch(sequence, nowMs);
      if (sequence.state === "running") numStarts += 1;
    },
    charge({ client }, { prompt = 0, sampled = 0 }) {
      fairShare.charge(client, PROMPT_WEIGHT * prompt + SAMPLED_WEIGHT * sampled);
    },
  };
}

function firstOf(
  sequences: Iterable<Sequence>,
  isBefore: (a: Sequence, b: Sequence) => boolean,
): Sequence | undefined {
  let first: Sequence | undefined;
  for (const sequence of sequences)
    if (first === undefined || isBefore(sequence, first)) first = sequence;
  return first;
}

/**
 * When it is due, in the clock's milliseconds. Infinite without a deadline, and when its first token
 * would come too late even if all else stood still.
 */
function feasibleDeadline(
  { deadlineMs, arrivalMs, numTokens }: Sequence,
  nowMs: number,
  costs: CostModel,
): number {
  if (deadlineMs === undefined) return Number.POSITIVE_INFINITY;
  const numAttended = (numTokens * (numTokens + 1)) / 2;
  const neededMs = costs.predictMs({ numTokens, numKvTokens: numTokens, numAttended });
  const dueMs = arrivalMs + deadlineMs;
  return nowMs + neededMs <= dueMs ? dueMs : Number.POSITIVE_INFINITY;
}
