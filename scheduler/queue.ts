/**
 * Sequences that have not ended: who waits and who runs, in order. Owns starting, taking back and
 * ending them, so that blocks come back exactly once.
 */
import type { Admission } from "./admission/admission.ts";
import { assert } from "./assert.ts";
import { SchedulerError } from "./errors.ts";
import { Forks, familyOf } from "./forks.ts";
import type { Order } from "./order/order.ts";
import type { PrefixHit } from "./prefix-cache.ts";
import type { Sequence } from "./sequence.ts";
import type { DraftRound } from "./speculation/round.ts";
import type { Stages } from "./stages.ts";
import type { BlockCopy, LayerPlan, SampledOutcome, SequenceId } from "./work-plan.ts";

export class SequenceQueue {
  readonly #admission: Admission;
  readonly #order: Order;
  readonly #stages: Stages;
  readonly #forks = new Forks();
  readonly #live = new Map<SequenceId, Sequence>();
  #numWaiting = 0;
  /** The most urgent first, and of a rank the first started: who is last is the first taken back. */
  readonly #running: Sequence[] = [];
  /** Known for the plan being made, until somebody comes or leaves. */
  #next: Sequence | undefined;

  constructor(admission: Admission, order: Order, stages: Stages) {
    this.#admission = admission;
    this.#order = order;
    this.#stages = stages;
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  get numWaiting(): number {
    return this.#numWaiting;
  }

  /** One that runs can only go on when an outcome has been read. */
  get isAwaited(): boolean {
    return this.#running.some(({ waitsForHost }) => waitsForHost);
  }

  /** The host has read all of one that runs, and is to say what may follow. */
  get isHostAsked(): boolean {
    return this.#running.some(({ samples }) => samples.isAsked);
  }

  /** One that runs has tokens to compute now. */
  get isAnyReady(): boolean {
    return this.#running.some(({ numReadyTokens }) => numReadyTokens > 0);
  }

  /** All that have not ended, in order of arrival. */
  get live(): Iterable<Sequence> {
    return this.#live.values();
  }

  find(id: SequenceId): Sequence | undefined {
    return this.#live.get(id);
  }

  /** Of those that have not ended. */
  filter(test: (sequence: Sequence) => boolean): Sequence[] {
    return [...this.#live.values()].filter(test);
  }

  /** Live ones that a pool of so many blocks by KV group can never hold. */
  neverFitting(capacity: readonly number[]): Sequence[] {
    return this.filter(({ worstCaseBlocks }) =>
      worstCaseBlocks.some((needed, group) => needed > capacity[group]),
    );
  }

  /** Live ones that a new request makes pointless: the latest completion of a client wins. */
  supersededBy(sequence: Sequence): Sequence[] {
    const { priority, client, program } = sequence;
    if (priority !== "completion") return [];
    const family = familyOf(sequence);
    return this.filter(
      (other) =>
        other.priority === priority &&
        other.client === client &&
        other.program === program &&
        familyOf(other) !== family,
    );
  }

  /** @throws {SchedulerError} "bad_request" when its id is taken. */
  add(sequence: Sequence, nowMs: number): void {
    if (this.#live.has(sequence.id))
      throw new SchedulerError("bad_request", `sequence ${sequence.id} is alive; use another id`);
    this.#live.set(sequence.id, sequence);
    if (this.#forks.attend(sequence)) this.#numWaiting += 1;
    else this.#wait(sequence, nowMs);
  }

  /**
   * Whose turn it is, or nobody: one that fits never overtakes a more urgent one that does not, nor
   * one whose samples are still being read.
   */
  next(nowMs: number): Sequence | undefined {
    if (this.#numWaiting === 0) return undefined;
    this.#next ??= this.#order.next(nowMs);
    return this.#next && this.#next.numReadyTokens > 0 ? this.#next : undefined;
  }

  /** The clock has moved, and with it whose turn it is. */
  beginPlan(): void {
    this.#next = undefined;
  }

  rankOf(sequence: Sequence, nowMs: number): number {
    return this.#order.rankOf(sequence, nowMs);
  }

  /** @param running Those that would run beside it. */
  admits(sequence: Sequence, running: readonly Sequence[] = this.#running): boolean {
    return this.#admission.admits(sequence, running);
  }

  /**
   * @param hit What it need not compute, and does not pay for.
   * @param from Where it computes on: behind the hit, if the host has what lies between.
   * @returns What to copy before any row of the plan runs.
   */
  start(sequence: Sequence, nowMs: number, hit: PrefixHit, from: number): BlockCopy[] {
    const rank = this.#order.rankOf(sequence, nowMs);
    const share = this.#stages.planShare(sequence.plans.own);
    const prompt = share * (sequence.numPromptTokens - hit.numTokens);
    if (!sequence.hasStarted) this.#order.charge(sequence, { prompt });
    const copies = sequence.start(nowMs, rank, hit, from);
    sequence.drafter?.pause();
    this.#leave(sequence, nowMs);
    const at = this.#running.findIndex((other) => other.rank > rank);
    this.#running.splice(at < 0 ? this.#running.length : at, 0, sequence);
    return copies;
  }

  /** A plan was made that has a row of it: what is full now can be found, and a fork may begin. */
  publish(sequence: Sequence, nowMs: number): void {
    sequence.publish();
    if (this.#forks.isAttended(sequence) && sequence.isForkable)
      this.#waitAll(this.#forks.release(sequence), nowMs);
  }

  /** Waits again. Blocks are free at once, as in `end`. */
  preempt(sequence: Sequence, nowMs: number): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    sequence.preempt();
    this.#wait(sequence, nowMs);
  }

  /** Plans in flight have no outcome: nobody runs any more, and what they sampled is forgotten. */
  loseAll(nowMs: number): void {
    for (const sequence of [...this.#running]) this.preempt(sequence, nowMs);
    for (const sequence of this.#live.values()) sequence.forgetUnread();
  }

  /** One of its samples was read, or those of a round of drafts. */
  read(
    sequence: Sequence,
    sampled: SampledOutcome,
    round?: DraftRound,
  ): "stop" | "length" | undefined {
    const share = this.#stages.planShare(planOfNextRead(sequence));
    const numTokens = round ? 1 + (round.fitting ?? 0) : (sampled.executed ?? 1);
    this.#order.charge(sequence, { sampled: (round?.draftCost ?? 0) + share * numTokens });
    return sequence.read(sampled, round);
  }

  /** Given tokens are computed as a prompt's are, and paid for like these. */
  resume(sequence: Sequence, tokenIds: readonly number[], pausesAt: number, drafts: number): void {
    const share = this.#stages.planShare(sequence.plans.own);
    if (tokenIds.length > 0) this.#order.charge(sequence, { prompt: share * tokenIds.length });
    this.#next = undefined;
    sequence.resume(tokenIds, pausesAt, drafts);
  }

  /**
   * Frees at once, even blocks that plans in flight still use: the GPU's queue is in order, so
   * whoever gets a block writes it after those plans have run.
   */
  end(sequence: Sequence, nowMs: number): void {
    assert(sequence.state !== "finished", `sequence ${sequence.id} ends twice`);
    if (this.#forks.leave(sequence)) this.#numWaiting -= 1;
    else if (sequence.state === "waiting") this.#leave(sequence, nowMs);
    else this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#admission.observeEnd(sequence);
    sequence.end();
    this.#live.delete(sequence.id);
    this.#waitAll(this.#forks.release(sequence), nowMs);
  }

  /** They have been counted while they waited for their parent. */
  #waitAll(forks: readonly Sequence[], nowMs: number): void {
    this.#numWaiting -= forks.length;
    for (const fork of forks) this.#wait(fork, nowMs);
  }

  #wait(sequence: Sequence, nowMs: number): void {
    this.#numWaiting += 1;
    this.#next = undefined;
    this.#order.waits(sequence, nowMs);
  }

  #leave(sequence: Sequence, nowMs: number): void {
    this.#numWaiting -= 1;
    this.#next = undefined;
    this.#order.leaves(sequence, nowMs);
  }
}

/** What was run for the sample that is read next. */
const planOfNextRead = ({ plans, samples, numPromptTokens }: Sequence): LayerPlan | undefined =>
  plans.at(numPromptTokens + samples.numRead - 1);
