/** What a plan's outcome is to those that draft: each drafter is told once, of all its sequences. */
import type { SampledOutcome } from "../work-plan.ts";
import type { Drafter, DraftRound } from "./round.ts";

interface Commit {
  readonly tokens: number;
  /** Some of them in a round. */
  readonly drafted: boolean;
}

export class DrafterCommits {
  /** None in most plans. */
  #commits: Map<Drafter, Commit> | undefined;

  /** A sequence of that drafter has new tokens: one, or those of a round. */
  add(drafter: Drafter | undefined, sampled: SampledOutcome, round: DraftRound | undefined): void {
    if (drafter === undefined) return;
    const numTokens = sampled.tokenIds?.length ?? 1;
    // Whoever stops leaves drafts behind that nobody judged.
    if (round && !sampled.finished) drafter.verified(round, numTokens - 1);
    this.#commits ??= new Map();
    const { tokens, drafted } = this.#commits.get(drafter) ?? { tokens: 0, drafted: false };
    this.#commits.set(drafter, {
      tokens: tokens + numTokens,
      drafted: drafted || round !== undefined,
    });
  }

  tell(nowMs: number): void {
    if (this.#commits === undefined) return;
    for (const [drafter, { tokens, drafted }] of this.#commits)
      drafter.committed(nowMs, tokens, drafted);
  }
}
