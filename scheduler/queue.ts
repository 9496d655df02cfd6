/**
 * Sequences that have not ended: who waits and who runs, in order. Owns starting, taking back and
 * ending them, so that blocks come back exactly once.
 */
import type { Admission } from "./admission/admission.ts";
import { assert } from "./assert.ts";
import { SchedulerError } from "./errors.ts";
import type { Sequence } from "./sequence.ts";
import type { SequenceId } from "./work-plan.ts";

export class SequenceQueue {
  readonly #admission: Admission;
  readonly #live = new Map<SequenceId, Sequence>();
  /** First come, first served, whether they have run before or not. */
  readonly #waiting: Sequence[] = [];
  /** In the order in which they started. */
  readonly #running: Sequence[] = [];

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  get numWaiting(): number {
    return this.#waiting.length;
  }

  find(id: SequenceId): Sequence | undefined {
    return this.#live.get(id);
  }

  /** @throws {SchedulerError} "bad_request" when its id is taken. */
  add(sequence: Sequence): void {
    if (this.#live.has(sequence.id))
      throw new SchedulerError("bad_request", `sequence ${sequence.id} is alive; use another id`);
    this.#live.set(sequence.id, sequence);
    this.#waiting.push(sequence);
  }

  /**
   * The head of the queue or nobody: one that fits never overtakes one that does not, and nobody
   * overtakes one whose samples are still being read.
   */
  nextToStart(): Sequence | undefined {
    const head = this.#waiting.at(0);
    if (head === undefined || head.numReadyTokens === 0) return undefined;
    return this.#admission.admits(head, this.#running) ? head : undefined;
  }

  start(sequence: Sequence, nowMs: number): void {
    assert(sequence === this.#waiting.at(0), `sequence ${sequence.id} starts out of turn`);
    this.#waiting.shift();
    this.#running.push(sequence);
    sequence.start(nowMs);
  }

  /**
   * Back to the head of those that wait: whoever started has arrived before all of them. Blocks are
   * free at once, as in `end`.
   */
  preempt(sequence: Sequence): void {
    assert(sequence === this.#running.at(-1), `sequence ${sequence.id} is not the newest`);
    this.#running.pop();
    sequence.preempt();
    this.#waiting.unshift(sequence);
  }

  /**
   * Frees at once, even blocks that plans in flight still use: the GPU's queue is in order, so
   * whoever gets a block writes it after those plans have run.
   */
  end(sequence: Sequence): void {
    assert(sequence.state !== "finished", `sequence ${sequence.id} ends twice`);
    const queue = sequence.state === "running" ? this.#running : this.#waiting;
    queue.splice(queue.indexOf(sequence), 1);
    this.#admission.observeEnd(sequence);
    for (const table of sequence.blockTables) table.release();
    sequence.state = "finished";
    this.#live.delete(sequence.id);
  }
}
