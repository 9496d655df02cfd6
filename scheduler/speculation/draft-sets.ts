/**
 * Which of several layer plans drafts: the one whose tokens come fastest, found while they are used.
 * Thompson sampling: each plan is taken as often as it is likely to be the best.
 * @see Chapelle and Li, "An Empirical Evaluation of Thompson Sampling", NIPS 2011.
 */
import type { Random } from "../random.ts";
import { Acceptance } from "./acceptance.ts";
import { bestDraftLength, type DraftCosts } from "./draft-length.ts";
import { betaDraw } from "./draws.ts";

/** Long enough to tell near rivals apart, short enough that a new subject is noticed. */
const HALF_LIFE_TOKENS = 1024;

export interface DraftChoice {
  /** Into the costs that were given. */
  readonly set: number;
  readonly tokens: number;
}

export class DraftSets {
  /** One for each plan; may be corrected as steps are measured. */
  readonly costs: DraftCosts[];
  readonly #max: number;
  readonly #random: Random;
  readonly #acceptances: readonly Acceptance[];

  /**
   * @param costs One for each plan, at least one.
   * @param max Drafts in a round, at least 1.
   * @param random Decides all: with the same numbers, the same plans.
   */
  constructor(costs: readonly DraftCosts[], max: number, random: Random) {
    this.costs = [...costs];
    this.#max = max;
    this.#random = random;
    this.#acceptances = costs.map(() => new Acceptance(HALF_LIFE_TOKENS));
  }

  /** For the next round; the length is that of the plan's mean acceptance. */
  choose(): DraftChoice {
    let set = 0;
    let fastest = 0;
    for (const [i, { taken, refused }] of this.#acceptances.entries()) {
      const acceptance = betaDraw(taken, refused, this.#random);
      const { speedup } = bestDraftLength(acceptance, this.costs[i], this.#max);
      if (speedup > fastest) {
        set = i;
        fastest = speedup;
      }
    }
    const { tokens } = bestDraftLength(this.acceptance(set), this.costs[set], this.#max);
    return { set, tokens };
  }

  /** Share of a plan's judged drafts that are taken, as far as known. */
  acceptance(set: number): number {
    return this.#acceptances[set].mean;
  }

  /** A round of that plan was verified. What is known of the others ages with it. */
  observe(set: number, drafted: number, accepted: number): void {
    const judged = accepted + (accepted < drafted ? 1 : 0);
    for (const [i, acceptance] of this.#acceptances.entries()) {
      if (i === set) acceptance.observe(drafted, accepted);
      else acceptance.forget(judged);
    }
  }
}
