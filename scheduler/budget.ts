/** What one plan may hold: tokens and predicted GPU time. Knows no sequences and no blocks. */
import { assert } from "./assert.ts";
import { type Cohort, cohortParts } from "./cohorts.ts";
import type { ResolvedConfig } from "./config.ts";
import {
  addWork,
  type CostModel,
  NO_WORK,
  type PlanPart,
  type PlanWork,
  partsMs,
} from "./cost-model.ts";
import { YIELDING_RANK } from "./priority.ts";
import type { Stages } from "./stages.ts";
import type { LayerPlan, StageRange } from "./work-plan.ts";

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
  readonly layerPlan?: LayerPlan;
  /** At least so many at once, however long that takes, or none. */
  readonly whole?: number;
}

/** Tokens of which some layers have run. */
export interface ParkedWish {
  readonly from: number;
  readonly to: number;
  /** The next to run. */
  readonly stage: number;
  readonly rank?: number;
  readonly layerPlan?: LayerPlan;
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
  readonly #standard: LayerPlan | undefined;
  readonly #cutBy: ResolvedConfig["cutBy"];
  #mostMs: number;
  /** Of the rows that run all stages of their plan. */
  #work: PlanWork = NO_WORK;
  /** Those rows by their plan, once one has a plan; rows without a plan are one cohort. */
  #cohorts: Map<LayerPlan | undefined, Cohort> | undefined;
  /** The last row, which runs some layers only. */
  #cut: Cohort | undefined;
  #hasChunk = false;
  /** Of the chunks so far. */
  #numChunkTokens = 0;
  #isCut = false;
  #mostUrgentRank = Number.POSITIVE_INFINITY;

  constructor(config: ResolvedConfig, quantumMs: number) {
    this.#maxTokens = config.maxTokensPerPlan;
    this.#minChunkTokens = config.blockTokens;
    this.#costs = config.costs;
    this.#standard = config.layerPlan;
    this.#stages = config.stages;
    this.#cutBy = config.cutBy;
    this.#mostMs = quantumMs;
  }

  get parts(): PlanPart[] {
    return this.#partsWith(this.#cut);
  }

  get predictedMs(): number {
    return partsMs(this.#costs, this.parts);
  }

  /**
   * The one token that a sequence at `from` lacks, or a few that it verifies; their places are reserved,
   * whatever the quantum.
   */
  takeToken(from: number, layerPlan?: LayerPlan, count = 1): Chunk {
    assert(this.#work.numTokens + count <= this.#maxTokens, "no place left for a decode token");
    this.#add(workOf(from, count), layerPlan);
    return { count, stages: this.#stages.all };
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
    const { from, wanted, fitting = wanted, rank = 0, parkable = 0, layerPlan, whole = 0 } = wish;
    if (!this.#opens(rank)) return undefined;
    const most = Math.min(fitting, this.#maxTokens - this.#work.numTokens);
    if (whole > 0) return most < whole ? undefined : this.#takeWhole(wish, most);
    const least = Math.min(most, Math.max(0, this.#minChunkTokens - this.#numChunkTokens));
    const { all } = this.#stages;
    const count = largestThat(
      (tokens) => this.#fits({ work: workOf(from, tokens), stages: all, layerPlan }),
      least,
      most,
    );
    this.#hasChunk = true;
    const work = workOf(from, count);
    if (count < most) {
      const speed = this.#fits({ work, stages: all, layerPlan })
        ? this.#speed(wish, count, all)
        : 0;
      const byLayers = this.#cutByLayers(wish, Math.min(most, parkable), speed);
      if (byLayers) return byLayers;
    }
    this.#isCut = count < wanted;
    if (count === 0) return undefined;
    this.#numChunkTokens += count;
    this.#add(work, layerPlan);
    return { count, stages: all };
  }

  #takeWhole({ from, wanted, layerPlan }: ChunkWish, count: number): Chunk {
    this.#hasChunk = true;
    this.#isCut = count < wanted;
    this.#numChunkTokens += count;
    this.#add(workOf(from, count), layerPlan);
    return { count, stages: this.#stages.all };
  }

  /** The next layers of a chunk that was cut by layers: as many as fit, one sublayer at least. */
  takeParked({ from, to, stage, rank = 0, layerPlan }: ParkedWish): Chunk | undefined {
    const count = to - from;
    if (count > this.#maxTokens - this.#work.numTokens || !this.#opens(rank)) return undefined;
    const work = workOf(from, count);
    const stages = this.#longestRun(work, layerPlan, stage, this.#hasChunk ? -1 : 0);
    this.#hasChunk = true;
    this.#isCut = true;
    if (stages === undefined) return undefined;
    this.#cut = { work, stages, layerPlan };
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
    const { layerPlan } = wish;
    let best: { chunk: Chunk; cut: Cohort } | undefined;
    let bestSpeed = this.#cutBy === "layers" ? 0 : speed;
    const least = Math.max(2, Math.min(most, this.#minChunkTokens));
    for (let count = most; count >= least; count = count >>> 1) {
      const work = workOf(wish.from, count);
      const stages = this.#longestRun(work, layerPlan, 0);
      if (stages === undefined || stages.to === this.#stages.count) continue;
      const cutSpeed = this.#speed(wish, count, stages);
      if (cutSpeed <= LEAST_GAIN * bestSpeed) continue;
      best = { chunk: { count, stages }, cut: { work, stages, layerPlan } };
      bestSpeed = cutSpeed;
    }
    if (best === undefined) return undefined;
    this.#cut = best.cut;
    this.#isCut = true;
    return best.chunk;
  }

  /**
   * Prompt tokens through all their layers per millisecond. All of a prompt attend to as many as they do
   * on average: otherwise its beginning would seem fast, and a short chunk better than a long one.
   */
  #speed({ from, wanted, layerPlan }: ChunkWish, count: number, stages: StageRange): number {
    const numAttended = count * (from + (wanted + 1) / 2);
    const cohort = { work: { ...workOf(from, count), numAttended }, stages, layerPlan };
    const done = this.#stages.share(stages, layerPlan);
    const tokens = count * (done / this.#stages.planShare(layerPlan));
    return tokens / partsMs(this.#costs, this.#partsWith(cohort));
  }

  /** @param least Index of an end that is good however long it takes; none by default. */
  #longestRun(
    work: PlanWork,
    layerPlan: LayerPlan | undefined,
    from: number,
    least = -1,
  ): StageRange | undefined {
    const numEnds = this.#stages.numEnds(from);
    const index = largestThat(
      (end) => this.#fits({ work, stages: { from, to: this.#stages.end(from, end) }, layerPlan }),
      least,
      numEnds - 1,
    );
    return index < 0 ? undefined : { from, to: this.#stages.end(from, index) };
  }

  #fits(cohort: Cohort): boolean {
    return partsMs(this.#costs, this.#partsWith(cohort)) <= this.#mostMs;
  }

  /** With one more row. Rows without a plan run the same, so there are two parts at most. */
  #partsWith(added: Cohort | undefined): PlanPart[] {
    if (this.#cohorts || added?.layerPlan !== undefined) {
      const cohorts = [...(this.#cohorts ?? this.#standardCohort()).values()];
      return cohortParts(added ? [...cohorts, added] : cohorts, this.#stages, this.#standard);
    }
    if (added === undefined) return [{ work: this.#work, share: 1 }];
    const share = this.#stages.share(added.stages);
    const withAdded = { work: addWork(this.#work, added.work), share };
    const rest = { work: this.#work, share: 1 - share };
    return rest.work.numTokens > 0 && rest.share > 0 ? [rest, withAdded] : [withAdded];
  }

  #add(work: PlanWork, layerPlan: LayerPlan | undefined): void {
    if (layerPlan !== undefined) this.#cohorts ??= this.#standardCohort();
    this.#work = addWork(this.#work, work);
    if (this.#cohorts === undefined) return;
    const known = this.#cohorts.get(layerPlan)?.work ?? NO_WORK;
    const { all: stages } = this.#stages;
    this.#cohorts.set(layerPlan, { work: addWork(known, work), stages, layerPlan });
  }

  /** While no row has a plan. */
  #standardCohort(): Map<LayerPlan | undefined, Cohort> {
    const cohort = { work: this.#work, stages: this.#stages.all };
    return new Map(cohort.work.numTokens > 0 ? [[undefined, cohort]] : []);
  }
}

function workOf(from: number, count: number): PlanWork {
  return {
    numTokens: count,
    numKvTokens: from + count,
    // Σ (position + 1) over the tokens.
    numAttended: (count * (2 * from + count + 1)) / 2,
  };
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
