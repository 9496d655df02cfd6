/**
 * Who is taken back when blocks run out. The newest started loses the least and is first to wait
 * again; only a sequence that started before it may ask for it, so the oldest always goes on.
 * A sequence that is taken back computes its tokens again later: ids and samples are kept.
 */
import type { SequenceQueue } from "./queue.ts";
import type { Sequence } from "./sequence.ts";
import type { SequenceId } from "./work-plan.ts";

export class Preemption {
  readonly #queue: SequenceQueue;
  readonly #forceEvery: number;
  #numPlansSinceForced = 0;
  #isShort = false;
  /** Taken back, and no plan has said so yet. */
  #untold: Sequence[] = [];

  /** @param forceEvery Plans from one forced preemption to the next; infinite when none is forced. */
  constructor(queue: SequenceQueue, forceEvery: number) {
    this.#queue = queue;
    this.#forceEvery = forceEvery;
  }

  /** Somebody lacks a block in this plan or was taken back, and others run: nobody may start. */
  get isShort(): boolean {
    return this.#isShort;
  }

  beginPlan(): void {
    this.#isShort = false;
    if (this.#numPlansSinceForced < this.#forceEvery) return;
    const newest = this.#queue.running.at(-1);
    // One token for each start: otherwise a long prompt would begin for ever.
    if (newest === undefined || !newest.hasSampledSinceStart) return;
    this.#numPlansSinceForced = 0;
    this.#takeBack(newest);
    this.#isShort = this.#queue.running.length > 0;
  }

  /**
   * A block for the next token of a running sequence, if need be from those that started later.
   * None of them may have a row in the plan: its blocks would be written twice.
   * @returns False when it is the newest itself: it keeps its blocks and sits out the plan.
   */
  makeRoom(sequence: Sequence): boolean {
    while (sequence.numFittingTokens === 0) {
      this.#isShort = true;
      const newest = this.#queue.running.at(-1)!;
      if (newest === sequence) return false;
      this.#takeBack(newest);
    }
    return true;
  }

  /** As many of `wanted` tokens as there are blocks for; takes nobody back for a prompt. */
  fitting(sequence: Sequence, wanted: number): number {
    const count = Math.min(wanted, sequence.numFittingTokens);
    if (count < wanted) this.#isShort = true;
    return count;
  }

  /** @returns Who was taken back since the last plan and has not ended since, newest first. */
  endPlan(): SequenceId[] {
    this.#numPlansSinceForced += 1;
    const live = this.#untold.filter(({ state }) => state !== "finished");
    this.#untold = [];
    return live.map(({ id }) => id);
  }

  #takeBack(sequence: Sequence): void {
    this.#queue.preempt(sequence);
    this.#untold.push(sequence);
  }
}
