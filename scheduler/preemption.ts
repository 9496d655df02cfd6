/**
 * Who is taken back, and when: for a more urgent arrival that finds no place, and when blocks run
 * out. It is always the least urgent that runs, and of those the newest started, which loses the
 * least; so the oldest of the most urgent always goes on. A sequence that is taken back computes its
 * tokens again later: ids and samples are kept.
 */
import type { HostBlocks } from "./host-blocks.ts";
import type { PrefixHit } from "./prefix-cache.ts";
import { YIELDING_RANK } from "./priority.ts";
import type { SequenceQueue } from "./queue.ts";
import type { Sequence } from "./sequence.ts";
import type { SequenceId } from "./work-plan.ts";

export class Preemption {
  readonly #queue: SequenceQueue;
  readonly #host: HostBlocks;
  readonly #maxRows: number;
  readonly #forceEvery: number;
  #numPlansSinceForced = 0;
  #isShort = false;
  /** Taken back, and no plan has said so yet. */
  #untold: Sequence[] = [];
  #nowMs = 0;

  /** @param forceEvery Plans from one forced preemption to the next; infinite when none is forced. */
  constructor(queue: SequenceQueue, host: HostBlocks, maxRows: number, forceEvery: number) {
    this.#queue = queue;
    this.#host = host;
    this.#maxRows = maxRows;
    this.#forceEvery = forceEvery;
  }

  /** Somebody lacks a block in this plan or was forced back, and others go on: nobody may start. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** Before any row is planned: a row's blocks must not be handed on in the same plan. */
  beginPlan(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#queue.beginPlan();
    const forced = this.#force();
    this.#makePlace();
    // Asked last: whoever went on may have made place, and then somebody must start.
    this.#isShort = forced && this.#queue.running.some(({ numReadyTokens }) => numReadyTokens > 0);
  }

  /**
   * A block for the next token of a running sequence, if need be from those that follow it.
   * None of them may have a row in the plan: its blocks would be written twice.
   * @returns False when it is the last itself: it keeps its blocks and sits out the plan.
   */
  makeRoom(sequence: Sequence): boolean {
    while (sequence.numFittingTokens() === 0) {
      this.#isShort = true;
      const last = this.#queue.running.at(-1)!;
      if (last === sequence) return false;
      this.#takeBack(last);
    }
    return true;
  }

  /**
   * As many of `wanted` tokens as there are blocks for; takes nobody back for a prompt.
   * @param hit What one that waits would begin with, and `from`: where it would compute on.
   */
  fitting(sequence: Sequence, wanted: number, hit?: PrefixHit, from?: number): number {
    const count = Math.min(wanted, sequence.numFittingTokens(hit, from));
    if (count < wanted) this.#isShort = true;
    return count;
  }

  /** All that run, the last first. */
  loseAll(nowMs: number): void {
    this.#untold.push(...this.#queue.running.toReversed());
    this.#queue.loseAll(nowMs);
  }

  /** @returns Who was taken back since the last plan and has not ended since, in that order. */
  endPlan(): SequenceId[] {
    this.#numPlansSinceForced += 1;
    const live = this.#untold.filter(({ state }) => state !== "finished");
    this.#untold = [];
    return live.map(({ id }) => id);
  }

  /** @returns Whether somebody was forced back. */
  #force(): boolean {
    if (this.#numPlansSinceForced < this.#forceEvery) return false;
    const last = this.#queue.running.at(-1);
    // One token for each start: otherwise a long prompt would begin for ever.
    if (last === undefined || !last.samples.hasNew) return false;
    this.#numPlansSinceForced = 0;
    this.#takeBack(last);
    return true;
  }

  /** For the next to start, as few as it takes, and nobody if all that may yield are too few. */
  #makePlace(): void {
    const { running } = this.#queue;
    if (running.length === 0 || running[running.length - 1].rank < YIELDING_RANK) return;
    const next = this.#queue.next(this.#nowMs);
    if (next === undefined) return;
    const rank = this.#queue.rankOf(next, this.#nowMs);
    for (let kept = running.length; kept >= 0; kept--) {
      const last = running[kept];
      if (last !== undefined && (last.rank <= rank || last.rank < YIELDING_RANK)) return;
      if (kept >= this.#maxRows || !this.#queue.admits(next, running.slice(0, kept))) continue;
      for (const victim of running.slice(kept).reverse()) this.#takeBack(victim);
      return;
    }
  }

  #takeBack(sequence: Sequence): void {
    this.#host.takeBack(sequence);
    this.#queue.preempt(sequence, this.#nowMs);
    this.#untold.push(sequence);
  }
}
