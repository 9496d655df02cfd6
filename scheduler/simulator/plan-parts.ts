/** What a plan computes, as the cost models count it: from its rows, for who has only the plan. */
import type { PlanPart, PlanWork } from "../cost-model.ts";
import type { Stages } from "../stages.ts";
import type { PlannedRow, WorkPlan } from "../work-plan.ts";

/**
 * All rows in one part, through all layers; with a row that runs a share of them, those layers with
 * it and the others without.
 */
export function planParts({ rows }: Pick<WorkPlan, "rows">, stages: Stages): PlanPart[] {
  const cut = rows.find(({ stages: { from, to } }) => to - from < stages.count);
  const all = workOf(rows);
  if (cut === undefined) return [{ work: all, share: 1 }];
  const share = stages.share(cut.stages);
  const rest = workOf(rows.filter((row) => row !== cut));
  const withCut = { work: all, share };
  return rest.numTokens > 0 && share < 1 ? [{ work: rest, share: 1 - share }, withCut] : [withCut];
}

function workOf(rows: readonly PlannedRow[]): PlanWork {
  let [numTokens, numKvTokens, numAttended] = [0, 0, 0];
  for (const { tokens } of rows) {
    const { from, to } = tokens;
    numTokens += to - from;
    numKvTokens += to;
    // Σ (position + 1) over its tokens.
    numAttended += ((to - from) * (from + to + 1)) / 2;
  }
  return { numTokens, numKvTokens, numAttended };
}
