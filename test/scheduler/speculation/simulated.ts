// Drafts that are taken by chance.

import type { Random } from "../../../scheduler/random.ts";

/** Of so many drafts, how many before the first that is refused. */
export function acceptedOf(drafted: number, acceptance: number, random: Random): number {
  let accepted = 0;
  while (accepted < drafted && random() < acceptance) accepted++;
  return accepted;
}
