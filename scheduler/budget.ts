/** What one plan may hold: tokens and predicted GPU time. Knows no sequences and no blocks. */
import { assert } from "./assert.ts";
import type { ResolvedConfig } from "./config.ts";
import { type CostModel, type PlanPart, type PlanWork, partsMs } from "./cost-model.ts";
import { YIELDING_RANK } from "./priority.ts";
import { Stages } from "./stages.ts";
import type { StageRange } from "./work-plan.ts";

/** Tokens that a sequence lacks. */
export interface ChunkWish {
  readonly from: number;
  readonly wanted: number;
  /** Of `wanted`, those that there are blocks for. Default all. */
  readonly fitting?: number;
  /** How urgent; default the most. */
  readonly rank?: number;
  /** Tokens whose activations may wait for a later plan; 0, the default, cuts by tokens alone. */
  readonly parkable?: number;
}

/** Tokens of which some layers have run. */
export interface ParkedWish {
  readonly from: number;
  readonly to: number;
  /** The next to run. */
  readonly stage: number;
  readonly rank?: number;
}

export interface Chunk {
  readonly count: number;
  readonly stages: StageRange;
}

/** To be preferred to a cut by tokens, one by layers must be so much faster: it holds memory. */
const LEAST_GAIN = 1.01;

export class PlanBudget {
  readonly #maxTokens: number;
  readonly #minChunkTokens: number;
  readonly #costs: CostModel;
  readonly #stages: Stages;
  readonly #cutBy: ResolvedConfig["cutBy"];
  #mostMs: number;
  /** Of the rows that run all layers. */
  readonly #work = { numTokens: 0, numKvTokens: 0, numAttended: 0 };
  /** With the last row, which runs some layers only. */
  #withCut: PlanPart | undefined;
  #hasChunk = false;
  /** Of the chunks so far. */
  #numChunkTokens = 0;
  #isCut = false;
  #mostUrgentRank = Number.POSITIVE_INFINITY;

  constructor(config: ResolvedConfig, quantumMs: number) {
    this.#maxTokens = config.maxTokensPerPlan;
    this.#minChunkTokens = config.blockTokens;
    this.#costs = config.costs;
    this.#stages = new Stages(config.numLayers, config.costs.mlpShare ?? 0.5);
    this.#cutBy = config.cutBy;
    this.#mostMs = quantumMs;
  }

  get parts(): PlanPart[] {
    return this.#withCut ? this.#all(this.#withCut) : [{ work: this.#work, share: 1 }];
  }

  get predictedMs(): number {
    return partsMs(this.#costs, this.parts);
  }

  /** The one token that a sequence at `from` lacks; its place is reserved, whatever the quantum. */
  takeToken(from: number): Chunk {
    assert(this.#work.numTokens < this.#maxTokens, "no place left for a decode token");
    this.#work.numTokens += 1;
    this.#work.numKvTokens += from + 1;
    this.#work.numAttended += from + 1;
    return { count: 1, stages: this.#stages.all };
  }

  /**
   * As many of the tokens as the plan still holds. A chunk that had to be cut is the last one:
   * whoever asks later gets nothing, however cheap.
   *
   * A prompt that yields gets nothing beside a more urgent one: it would only make that one's plan
   * longer.
   *
   * Where the answers beside it take most of the quantum, a reader's prompt may take as long again: a
   * GPU whose plain decode step exceeds the quantum would otherwise serve hardly any. And the chunks
   * of a plan get one block of tokens in any case, so that weights are not read for each.
   */
  takeChunk(wish: ChunkWish): Chunk | undefined {
    const { from, wanted, fitting = wanted, rank = 0, parkable = 0 } = wish;
    if (!this.#opens(rank)) return undefined;
    const most = Math.min(fitting, this.#maxTokens - this.#work.numTokens);
    const least = Math.min(most, Math.max(0, this.#minChunkTokens - this.#numChunkTokens));
    const count = largestThat(
      (tokens) => this.#fits(this.#all({ work: this.#with(from, tokens), share: 1 })),
      least,
      most,
    );
    this.#hasChunk = true;
    if (count < most) {
      const whole = this.#all({ work: this.#with(from, count), share: 1 });
      const speed = this.#fits(whole) ? this.#speed(wish, count, whole) : 0;
      const byLayers = this.#cutByLayers(wish, Math.min(most, parkable), speed);
      if (byLayers) return byLayers;
    }
    this.#isCut = count < wanted;
    if (count === 0) return undefined;
    this.#numChunkTokens += count;
    Object.assign(this.#work, this.#with(from, count));
    return { count, stages: this.#stages.all };
  }

  /** The next layers of a chunk that was cut by layers: as many as fit, one sublayer at least. */
  takeParked({ from, to, stage, rank = 0 }: ParkedWish): Chunk | undefined {
    const count = to - from;
    if (count > this.#maxTokens - this.#work.numTokens || !this.#opens(rank)) return undefined;
    const work = this.#with(from, count);
    const stages = this.#longestRun(work, stage, this.#hasChunk ? -1 : 0);
    this.#hasChunk = true;
    this.#isCut = true;
    if (stages === undefined) return undefined;
    this.#withCut = { work, share: this.#stages.share(stages) };
    return { count, stages };
  }

  /** Whether a prompt of this rank may have a place, and how long the plan may take with it. */
  #opens(rank: number): boolean {
    if (this.#isCut || (rank >= YIELDING_RANK && this.#mostUrgentRank < rank)) return false;
    this.#mostUrgentRank = Math.min(this.#mostUrgentRank, rank);
    if (!this.#hasChunk && this.#work.numTokens > 0 && rank < YIELDING_RANK)
      this.#mostMs = Math.max(this.#mostMs, 2 * this.predictedMs);
    return true;
  }

  /** More tokens at once and fewer layers: weights are read less often. @param speed To be beaten. */
  #cutByLayers(wish: ChunkWish, most: number, speed: number): Chunk | undefined {
    let best: { chunk: Chunk; part: PlanPart } | undefined;
    let bestSpeed = this.#cutBy === "layers" ? 0 : speed;
    const least = Math.max(2, Math.min(most, this.#minChunkTokens));
    for (let count = most; count >= least; count = count >>> 1) {
      const work = this.#with(wish.from, count);
      const stages = this.#longestRun(work, 0);
      if (stages === undefined || stages.to === this.#stages.count) continue;
      const part = { work, share: this.#stages.share(stages) };
      const partSpeed = this.#speed(wish, count * part.share, this.#all(part));
      if (partSpeed <= LEAST_GAIN * bestSpeed) continue;
      best = { chunk: { count, stages }, part };
      bestSpeed = partSpeed;
    }
    if (best === undefined) return undefined;
    this.#withCut = best.part;
    this.#isCut = true;
    return best.chunk;
  }

  /**
   * Prompt tokens through all layers per millisecond. All of a prompt attend to as many as they do on
   * average: otherwise its beginning would seem fast, and a short chunk better than a long one.
   */
  #speed({ from, wanted }: ChunkWish, tokens: number, parts: readonly PlanPart[]): number {
    const mean = from + (wanted + 1) / 2;
    const levelled = parts.map(({ work, share }) => {
      const count = work.numTokens - this.#work.numTokens;
      return { work: { ...work, numAttended: this.#work.numAttended + count * mean }, share };
    });
    return tokens / partsMs(this.#costs, levelled);
  }

  /** @param least Index of an end that is good however long it takes; none by default. */
  #longestRun(work: PlanWork, from: number, least = -1): StageRange | undefined {
    const numEnds = this.#stages.numEnds(from);
    const index = largestThat(
      (end) => {
        const share = this.#stages.share({ from, to: this.#stages.end(from, end) });
        return this.#fits(this.#all({ work, share }));
      },
      least,
      numEnds - 1,
    );
    return index < 0 ? undefined : { from, to: this.#stages.end(from, index) };
  }

  #fits(parts: readonly PlanPart[]): boolean {
    return partsMs(this.#costs, parts) <= this.#mostMs;
  }

  /** The other rows run the other layers alone. */
  #all(cut: PlanPart): PlanPart[] {
    const rest = { work: this.#work, share: 1 - cut.share };
    return rest.work.numTokens > 0 && rest.share > 0 ? [rest, cut] : [cut];
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

/** The largest number from `least` to `most` that holds, where all below it do; `least` unasked. */
function largestThat(holds: (n: number) => boolean, least: number, most: number): number {
  let fits = least;
  let tooMany = most + 1;
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2);
    if (holds(middle)) fits = middle;
    else tooMany = middle;
  }
  return fits;
}
