/**
 * The stages of a forward pass, `embed, (attention, mlp) × L, head`: where a row may stop between
 * two plans, and what share of the time of all a run of stages takes.
 */
import type { LayerPlan, StageRange } from "./work-plan.ts";

/** Tokens of which some layers have run, and whose activations wait for the others. */
export interface ParkedRows {
  /** Behind the last token; the first is the first that is not computed. */
  readonly to: number;
  /** The next to run. */
  readonly stage: number;
}

export class Stages {
  /** 2·L + 2 */
  readonly count: number;
  readonly all: StageRange;
  /** Before each stage: the share of those before it, of the plan that rows have by default. */
  readonly #before: Float64Array;
  readonly #attentionShare: number;
  readonly #mlpShare: number;
  readonly #planShares = new WeakMap<LayerPlan, number>();

  /**
   * @param numLayers L; layers that may run twice count twice.
   * @param mlpShare Of a layer's time, that of its MLP; the rest is attention.
   * @param standard What rows run by default: its time is 1.
   */
  constructor(numLayers: number, mlpShare: number, standard?: LayerPlan) {
    this.count = 2 * numLayers + 2;
    this.all = { from: 0, to: this.count };
    const runs = (stage: number) => standard?.runs[stage] ?? true;
    let time = 0;
    const before = new Float64Array(this.count + 1);
    for (let stage = 1; stage < this.count - 1; stage++) {
      if (runs(stage)) time += stage % 2 === 1 ? 1 - mlpShare : mlpShare;
      before[stage + 1] = time;
    }
    before[this.count] = time;
    this.#before = before.map((sum) => sum / time);
    this.#attentionShare = (1 - mlpShare) / time;
    this.#mlpShare = mlpShare / time;
  }

  /** 0 to 1 by the default plan, of another as it is; embedding and head count nothing. */
  share({ from, to }: StageRange, layerPlan?: LayerPlan): number {
    if (layerPlan === undefined) return this.#before[to] - this.#before[from];
    let share = 0;
    for (let stage = from; stage < to; stage++)
      if (layerPlan.runs[stage]) share += this.stageShare(stage);
    return share;
  }

  /** What a token by the plan costs: 1 by the default one. */
  planShare(layerPlan?: LayerPlan): number {
    if (layerPlan === undefined) return 1;
    const share = this.#planShares.get(layerPlan) ?? this.share(this.all, layerPlan);
    this.#planShares.set(layerPlan, share);
    return share;
  }

  /** Of one stage that runs. */
  stageShare(stage: number): number {
    if (stage === 0 || stage === this.count - 1) return 0;
    return stage % 2 === 1 ? this.#attentionShare : this.#mlpShare;
  }

  /** Ends that a row may have which begins at `from`, one sublayer at least; rising, all the last. */
  numEnds(from: number): number {
    return Math.max(0, this.count - 2 - Math.max(from, 1)) + 1;
  }

  /** @param index 0 to numEnds − 1. */
  end(from: number, index: number): number {
    return index === this.numEnds(from) - 1 ? this.count : Math.max(from, 1) + 1 + index;
  }
}
