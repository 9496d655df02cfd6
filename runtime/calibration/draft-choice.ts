/** Which layer plans are to draft, of those that calibration has tried. */
import { bestDraftLength } from "../../scheduler/speculation/draft-length.ts";

export interface DraftCandidate {
  /** Time of a row by it, over that of the whole model: the share of sublayers that it runs. */
  readonly cost: number;
  /** How often its likeliest token is the whole model's. */
  readonly agreement: number;
}

/** As the drafter counts it: a step that also takes the drafts. */
const VERIFY_COST = 1.05;
const MAX_DRAFTS = 8;
/** Enough for the engine to learn which is fastest here, few enough to learn soon. */
const [FEWEST, MOST] = [2, 4];
/** Those that promise less than this share of the best's speedup are left out. */
const NEAR = 0.9;

/** Over plain decoding, by rounds of the best length. */
export const expectedSpeedup = ({ cost, agreement }: DraftCandidate): number =>
  bestDraftLength(agreement, { draft: cost, verify: VERIFY_COST }, MAX_DRAFTS).speedup;

/** Two to four where there are as many, the one that promises most first. */
export function chooseDrafts<C extends DraftCandidate>(candidates: readonly C[]): C[] {
  const ranked = candidates.toSorted((a, b) => expectedSpeedup(b) - expectedSpeedup(a));
  const best = ranked.length > 0 ? expectedSpeedup(ranked[0]) : 0;
  return ranked
    .slice(0, MOST)
    .filter((candidate, i) => i < FEWEST || expectedSpeedup(candidate) >= NEAR * best);
}
