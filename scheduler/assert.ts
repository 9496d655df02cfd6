/** Invariants of this folder. A failure is our bug, never the caller's: those are SchedulerErrors. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`scheduler invariant broken, please report: ${message}`);
}
