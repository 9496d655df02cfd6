/** What one plan may hold: tokens and predicted GPU time. Knows no sequences and no blocks. */
import { assert } from "./assert.ts";
import type { ResolvedConfig } from "./config.ts";
import type { CostModel, PlanWork } from "./cost-model.ts";
import { YIELDING_RANK } from "./sequence.ts";

export class PlanBudget {
  readonly #maxTokens: number;
  readonly #minChunkTokens: number;
  readonly #costs: CostModel;
  #mostMs: number;
  readonly #work = { numTokens: 0, numKvTokens: 0, numAttended: 0 };
  #hasChunk = false;
  #isCut = false;
  #mostUrgentRank = Number.POSITIVE_INFINITY;

  constructor(config: ResolvedConfig, quantumMs: number) {
    this.#maxTokens = config.maxTokensPerPlan;
    this.#minChunkTokens = config.blockTokens;
    this.#costs = config.costs;
    this.#mostMs = quantumMs;
  }

  get work(): PlanWork {
    return this.#work;
  }

  get predictedMs(): number {
    return this.#costs.predictMs(this.#work);
  }

  /** The one token that a sequence at `from` lacks; its place is reserved, whatever the quantum. */
  takeToken(from: number): number {
    assert(this.#work.numTokens < this.#maxTokens, "no place left for a decode token");
    this.#work.numTokens += 1;
    this.#work.numKvTokens += from + 1;
    this.#work.numAttended += from + 1;
    return 1;
  }

  /**
   * As many of `wanted` tokens from `from` on as the plan still holds. A chunk that had to be cut
   * is the last one: whoever asks later gets 0, however cheap. `fitting` of them have blocks.
   *
   * A prompt that yields gets 0 beside a more urgent one: it would only make that one's plan longer.
   *
   * Where the answers beside it take most of the quantum, a reader's prompt may take as long again: a
   * GPU whose plain decode step exceeds the quantum would otherwise serve hardly any. And the first
   * chunk gets one block of tokens in any case, so that weights are not read for each token.
   */
  takeChunk(from: number, wanted: number, rank = 0, fitting = wanted): number {
    if (this.#isCut || (rank >= YIELDING_RANK && this.#mostUrgentRank < rank)) return 0;
    this.#mostUrgentRank = Math.min(this.#mostUrgentRank, rank);
    const most = Math.min(fitting, this.#maxTokens - this.#work.numTokens);
    if (!this.#hasChunk && this.#work.numTokens > 0 && rank < YIELDING_RANK)
      this.#mostMs = Math.max(this.#mostMs, 2 * this.predictedMs);
    const least = this.#hasChunk ? 0 : Math.min(most, this.#minChunkTokens);
    const count = this.#largestWithinQuantum(from, least, most);
    this.#hasChunk = true;
    this.#isCut = count < wanted;
    return this.#take(from, count);
  }

  #largestWithinQuantum(from: number, least: number, most: number): number {
    let fits = least;
    let tooMany = most + 1;
    while (tooMany - fits > 1) {
      const middle = (fits + tooMany) >>> 1;
      if (this.#costs.predictMs(this.#with(from, middle)) <= this.#mostMs) fits = middle;
      else tooMany = middle;
    }
    return fits;
  }

  #take(from: number, count: number): number {
    if (count > 0) Object.assign(this.#work, this.#with(from, count));
    return count;
  }

  #with(from: number, count: number): PlanWork {
    const { numTokens, numKvTokens, numAttended } = this.#work;
    return {
      numTokens: numTokens + count,
      numKvTokens: numKvTokens + from + count,
      // Σ (position + 1) over the new tokens.
      numAttended: numAttended + (count * (2 * from + count + 1)) / 2,
    };
  }
}
