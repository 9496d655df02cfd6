/**
 * The stages of a forward pass, `embed, (attention, mlp) × L, head`: where a row may stop between
 * two plans, and what share of the time of all a run of stages takes.
 */
import type { StageRange } from "./work-plan.ts";

export class Stages {
  /** 2·L + 2 */
  readonly count: number;
  readonly all: StageRange;
  readonly #numLayers: number;
  readonly #mlpShare: number;

  /** @param mlpShare Of a layer's time, that of its MLP; the rest is attention. */
  constructor(numLayers: number, mlpShare: number) {
    this.count = 2 * numLayers + 2;
    this.all = { from: 0, to: this.count };
    this.#numLayers = numLayers;
    this.#mlpShare = mlpShare;
  }

  /** 0 to 1; embedding and head count nothing. */
  share({ from, to }: StageRange): number {
    const [first, end] = [Math.max(from, 1), Math.min(to, this.count - 1)];
    const numAttention = Math.floor(end / 2) - Math.floor(first / 2);
    const numMlp = end - first - numAttention;
    const time = numAttention * (1 - this.#mlpShare) + numMlp * this.#mlpShare;
    return time / this.#numLayers;
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
