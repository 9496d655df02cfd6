// Drafts by a script instead of by what pays: of any length, and sometimes none.

import assert from "node:assert/strict";
import type { Drafter, LayerPlan } from "../../scheduler/index.ts";
import { type Random, seededRandom } from "../../scheduler/random.ts";
import type { DraftRound, DraftWish } from "../../scheduler/speculation/round.ts";

export interface DraftScript {
  /** Most drafts of a round. */
  readonly max: number;
  readonly seed: number;
  /** What rows that draft run; without any, the host proposes. */
  readonly layerPlans: readonly LayerPlan[];
}

/** Commits between two changes of mind. */
const COMMITS_A_PHASE = 6;

export class ScriptedDrafter implements Drafter {
  readonly max: number;
  readonly layerPlans: readonly LayerPlan[];
  readonly #random: Random;
  #numCommits = 0;

  constructor({ max, seed, layerPlans }: DraftScript) {
    this.max = max;
    this.layerPlans = layerPlans;
    this.#random = seededRandom(seed);
  }

  get asksHost(): boolean {
    return this.layerPlans.length === 0;
  }

  /** As a guard would have it: every third phase is plain. */
  get waitsForHost(): boolean {
    return this.asksHost && Math.floor(this.#numCommits / COMMITS_A_PHASE) % 3 < 2;
  }

  next(proposed: number): DraftWish | undefined {
    const way = Math.floor(this.#random() * (this.layerPlans.length + 1));
    const tokens = 1 + Math.floor(this.#random() * this.max);
    if (!this.asksHost)
      return way === this.layerPlans.length
        ? undefined
        : { tokens, layerPlan: this.layerPlans[way], way };
    if (proposed === 0 || !this.waitsForHost) return undefined;
    return { tokens: Math.min(tokens, proposed), layerPlan: undefined, way: 0 };
  }

  verified({ tokens, layerPlan, numDrafted }: DraftRound, accepted: number): void {
    assert(accepted >= 0 && accepted <= tokens, `${accepted} of ${tokens} drafts taken`);
    assert.equal(numDrafted, layerPlan ? tokens : 0);
  }

  committed(_: number, tokens: number): void {
    assert(tokens >= 1);
    this.#numCommits += 1;
  }

  pause(): void {}

  /** What the host would propose behind so many ids of the answer: right but for some. */
  propose(answer: readonly number[], numIds: number): number[] {
    const next = answer.slice(numIds, numIds + ((answer[numIds - 1] ?? 0) % (this.max + 1)));
    return next.map((id, i) => ((id + i) % 5 === 0 ? id + 1 : id));
  }
}

/** Always the same, whatever becomes of it. */
export const fixedDrafter = (wish: DraftWish): Drafter => ({
  max: wish.tokens,
  waitsForHost: false,
  next: () => wish,
  verified: () => {},
  committed: () => {},
  pause: () => {},
});
