/** What one plan may hold: tokens and predicted GPU time. Knows no sequences and no blocks. */
import { assert } from "./assert.ts";
import type { PredictMs, ResolvedConfig } from "./config.ts";

export class PlanBudget {
  readonly #maxTokens: number;
  readonly #minChunkTokens: number;
  readonly #predictMs: PredictMs;
  readonly #quantumMs: number;
  #numTokens = 0;
  #numContextTokens = 0;
  #hasChunk = false;
  #isCut = false;

  constructor(config: ResolvedConfig, quantumMs: number) {
    this.#maxTokens = config.maxTokensPerPlan;
    this.#minChunkTokens = config.blockTokens;
    this.#predictMs = config.predictMs;
    this.#quantumMs = quantumMs;
  }

  get predictedMs(): number {
    return this.#predictMs(this.#numTokens, this.#numContextTokens);
  }

  /** The one token that a sequence at `from` lacks; its place is reserved, whatever the quantum. */
  takeToken(from: number): number {
    assert(this.#numTokens < this.#maxTokens, "no place left for a decode token");
    return this.#take(from, 1);
  }

  /**
   * As many of `wanted` tokens from `from` on as the plan still holds. A chunk that had to be cut
   * is the last one: whoever asks later gets 0, however cheap. `fitting` of them have blocks.
   *
   * The first chunk gets one block of tokens even past the quantum: on a GPU whose plain decode step
   * exceeds the quantum, a prompt would otherwise stand still, or cross all weights for each token.
   */
  takeChunk(from: number, wanted: number, fitting = wanted): number {
    if (this.#isCut) return 0;
    const most = Math.min(fitting, this.#maxTokens - this.#numTokens);
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
      const context = this.#numContextTokens + attended(from, middle);
      if (this.#predictMs(this.#numTokens + middle, context) <= this.#quantumMs) fits = middle;
      else tooMany = middle;
    }
    return fits;
  }

  #take(from: number, count: number): number {
    this.#numTokens += count;
    this.#numContextTokens += attended(from, count);
    return count;
  }
}

/** Σ (position + 1) over `count` positions from `from` on. */
function attended(from: number, count: number): number {
  return (count * (2 * from + count + 1)) / 2;
}
