/** How many tokens to draft before they are verified. */
import { Acceptance } from "./acceptance.ts";

/** Times of steps, that of a plain step being 1. */
export interface DraftCosts {
  /** Of drafting one token. */
  readonly draft: number;
  /** Of verifying a round. */
  readonly verify: number;
}

export interface DraftLengthChoice {
  readonly tokens: number;
  /** Expected, over plain steps. */
  readonly speedup: number;
}

/**
 * The round that commits most tokens per time, where each draft is taken with the same probability a if
 * those before were: g drafts commit 1 + a + … + a^g tokens, the last of them from verification, and
 * take g · draft + verify. The shorter of two that are as good.
 *
 * @param max At least 1.
 * @see Leviathan et al., arXiv:2211.17192, theorem 3.8.
 */
export function bestDraftLength(
  acceptance: number,
  { draft, verify }: DraftCosts,
  max: number,
): DraftLengthChoice {
  let best = { tokens: 1, speedup: 0 };
  let power = 1;
  let committed = 1;
  for (let tokens = 1; tokens <= max; tokens++) {
    power *= acceptance;
    committed += power;
    const speedup = committed / (tokens * draft + verify);
    if (speedup > best.speedup) best = { tokens, speedup };
  }
  return best;
}

/** Twenty rounds or so: a length that followed each round would follow chance. */
const HALF_LIFE_TOKENS = 64;

/** The length for one way of drafting, as acceptance is learnt. */
export class DraftLength {
  /** May be corrected as steps are measured. */
  costs: DraftCosts;
  readonly #max: number;
  readonly #acceptance = new Acceptance(HALF_LIFE_TOKENS);

  /** @param max Drafts in a round, at least 1. */
  constructor(costs: DraftCosts, max: number) {
    this.costs = costs;
    this.#max = max;
  }

  /** Of the next round. */
  get tokens(): number {
    return bestDraftLength(this.#acceptance.mean, this.costs, this.#max).tokens;
  }

  /** Share of judged drafts that are taken, as far as known. */
  get acceptance(): number {
    return this.#acceptance.mean;
  }

  observe(drafted: number, accepted: number): void {
    this.#acceptance.observe(drafted, accepted);
  }
}
