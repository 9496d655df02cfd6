/** How urgent a request is, and what that entails. */

/** Most urgent first. */
export const PRIORITIES = ["interactive", "completion", "agent", "background"] as const;
export type Priority = (typeof PRIORITIES)[number];
/** 0 is the most urgent. */
export const PRIORITY_RANK: Readonly<Record<Priority, number>> = {
  interactive: 0,
  completion: 1,
  agent: 2,
  background: 3,
};

/** From this rank on a sequence makes place for more urgent ones; a reader waits for other readers. */
export const YIELDING_RANK = PRIORITY_RANK.agent;
