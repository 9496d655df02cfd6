/**
 * Which tokens run next. There is no prefill and no decode: a sequence has tokens that are not
 * computed yet, and a plan computes some. Pure: the clock is passed in, randomness is
 * seeded; no timer, no device.
 */
import { Admission } from "./admission/admission.ts";
import { checkAlternation } from "./alternating-tokens.ts";
import { AnswerLengths } from "./answer-lengths.ts";
import { checkQuantum, resolveConfig, type SchedulerConfig } from "./config.ts";
import { observeParts } from "./cost-model.ts";
import { endedEvent, type SchedulerEvent } from "./event.ts";
import { checkFork } from "./forks.ts";
import { Holds } from "./holds.ts";
import { HostBlocks } from "./host-blocks.ts";
import { InFlight } from "./in-flight.ts";
import { KvBlocks } from "./kv-blocks.ts";
import { type KvMap, kvMap } from "./kv-map.ts";
import { fcfs } from "./order/fcfs.ts";
import { priorityOrder } from "./order/priority.ts";
import { Planner } from "./planner.ts";
import { Preemption } from "./preemption.ts";
import { SequenceQueue } from "./queue.ts";
import { type QueueState, queueStateOf } from "./queue-delay.ts";
import { seededRandom } from "./random.ts";
import { Sequence } from "./sequence.ts";
import { checkRequest, type SequenceRequest } from "./sequence-request.ts";
import { DrafterCommits } from "./speculation/drafter-commits.ts";
import type { PlanOutcome, SequenceId, WorkPlan } from "./work-plan.ts";

export class Scheduler {
  readonly #config: ReturnType<typeof resolveConfig>;
  readonly #blocks: KvBlocks;
  readonly #holds: Holds;
  readonly #host: HostBlocks;
  readonly #admission: Admission;
  readonly #queue: SequenceQueue;
  readonly #preemption: Preemption;
  readonly #planner: Planner;
  readonly #inFlight = new InFlight();
  /** Of answers that have ended, the newest counted most. */
  readonly #lengths = new AnswerLengths();
  #quantumMs: number;
  #nextTicket = 0;
  /** The clock as last heard. */
  #nowMs = 0;

  /** @throws {SchedulerError} "bad_config". */
  constructor(config: SchedulerConfig) {
    this.#config = resolveConfig(config);
    const { kvGroups, blockTokens, prefixCache, layerPlan, maxTokensPerPlan } = this.#config;
    const { admission, seed, order, costs, maxRows, maxHostBlocks, stages } = this.#config;
    this.#blocks = new KvBlocks(kvGroups, blockTokens, prefixCache, layerPlan?.keeps);
    this.#holds = new Holds(this.#blocks);
    const random = seededRandom(seed);
    this.#admission = new Admission(this.#blocks, this.#holds, maxTokensPerPlan, admission, random);
    this.#host = new HostBlocks(costs, blockTokens, maxHostBlocks);
    this.#queue = new SequenceQueue(
      this.#admission,
      order === "fcfs" ? fcfs() : priorityOrder(costs),
      stages,
    );
    const { forcePreemptionEvery, quantumMs } = this.#config;
    this.#preemption = new Preemption(this.#queue, this.#host, maxRows, forcePreemptionEvery);
    this.#planner = new Planner(this.#config, {
      queue: this.#queue,
      preemption: this.#preemption,
      holds: this.#holds,
      host: this.#host,
    });
    this.#quantumMs = quantumMs;
  }

  /**
   * @returns Who it makes pointless, each ended by this.
   * @throws {SchedulerError} "bad_request", or "request_too_long" for one that can never fit.
   */
  add(request: SequenceRequest, nowMs: number): SchedulerEvent[] {
    this.#nowMs = nowMs;
    const { stages, kvGroups } = this.#config;
    checkRequest(request, { numStages: stages.count, numGroups: kvGroups.length });
    const { id, alternation } = request;
    if (alternation) checkAlternation(id, alternation, this.#blocks.groups);
    const worstCase = this.#admission.worstCase(request);
    const ticket = this.#nextTicket++;
    const parent = this.#queue.find(request.forkOf ?? Number.NaN);
    checkFork(request, parent);
    const sequence = new Sequence(request, ticket, nowMs, worstCase, this.#blocks, parent);
    const superseded = this.#queue.supersededBy(sequence);
    this.#queue.add(sequence, nowMs);
    return superseded.map((other) => this.#endFor(other, "superseded"));
  }

  /** Ends the sequence, without an event. One that has ended already, or never was, is let be. */
  abort(id: SequenceId): void {
    const sequence = this.#queue.find(id);
    if (sequence) this.#end(sequence);
  }

  /**
   * The device is gone, and with it all keys, values and plans in flight; no outcome of these may be
   * committed. The ids that were read are enough: every sequence waits, and starts again from them.
   * @param numBlocks By KV group, where the next device has room for fewer.
   * @returns Those that can never run there; each is ended by this.
   */
  loseDevice(nowMs: number, numBlocks?: readonly number[]): SequenceId[] {
    this.#nowMs = nowMs;
    this.#inFlight.clear();
    this.#preemption.loseAll(nowMs);
    this.#host.lose();
    this.#holds.lose();
    this.#blocks.forgetContents(numBlocks);
    const tooLong = this.#queue.neverFitting(this.#blocks.capacity);
    for (const sequence of tooLong) this.#end(sequence);
    return tooLong.map(({ id }) => id);
  }

  /**
   * The host has said what may follow in a sequence that pauses. One that has ended is let be.
   * @param tokenIds Its next tokens, whatever the model would say; computed like those of a prompt.
   * @param pausesAt Tokens sampled, these included, after which it sits out again; by default never.
   * @param drafts Most that may be verified with the next token, pause or not: the host's own, or any that
   *   others make, for which the round then waits until `fit`.
   * @returns Its end, if it may have no more.
   */
  resume(
    id: SequenceId,
    tokenIds: readonly number[] = [],
    pausesAt: number = Number.POSITIVE_INFINITY,
    drafts = 0,
  ): SchedulerEvent[] {
    const sequence = this.#queue.find(id);
    if (!sequence) return [];
    this.#queue.resume(sequence, tokenIds, pausesAt, drafts);
    return sequence.samples.isWhole ? [this.#endFor(sequence, "length")] : [];
  }

  /** The host has seen the drafts of a round that passes a pause: so many of them may follow. */
  fit(id: SequenceId, drafts: number): void {
    this.#queue.find(id)?.rounds.fit(drafts);
  }

  /**
   * Keep what the session's requests have computed for so long, though none of them runs; until its
   * next one starts, or `release`. Broken when nobody else could run.
   */
  hold(session: string, ms: number, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#holds.hold(session, ms, nowMs);
  }

  release(session: string): void {
    this.#holds.release(session);
  }

  /**
   * The next plan, before the outcomes of earlier ones; "idle" until an add, abort or commit, or
   * until `wakeMs`.
   */
  schedule(nowMs: number): WorkPlan | "idle" {
    this.#nowMs = nowMs;
    this.#holds.expire(nowMs);
    if (this.isFull || this.wakeMs !== undefined) return "idle";
    const plan = this.#plan(nowMs);
    if (plan !== undefined) return plan;
    const mayTryAgain = this.#host.cancelPlan() || (this.#isStuck && this.#holds.break());
    return mayTryAgain ? this.schedule(nowMs) : "idle";
  }

  /** Somebody is ready, nothing is under way that could free memory, and no plan could be made. */
  get #isStuck(): boolean {
    const queue = this.#queue;
    return this.numInFlight === 0 && (queue.isAnyReady || queue.next(this.#nowMs) !== undefined);
  }

  #plan(nowMs: number): WorkPlan | undefined {
    const made = this.#planner.plan(nowMs, this.#quantumMs);
    if (made === undefined) return undefined;
    const { plan, ...rest } = made;
    const { predictedMs } = plan;
    return { id: this.#inFlight.push({ ...rest, predictedMs, plannedMs: nowMs }), ...plan };
  }

  /**
   * Plans are committed in the order they were made, whatever became of their sequences.
   * @throws {SchedulerError} "bad_outcome" for another plan, or other rows than it sampled.
   */
  commit(outcome: PlanOutcome, nowMs: number): SchedulerEvent[] {
    this.#nowMs = nowMs;
    const events: SchedulerEvent[] = [];
    const { parts, sampling, leaving } = this.#inFlight.settle(outcome, nowMs);
    for (const sequence of leaving) sequence.awaitsCopy = false;
    observeParts(this.#config.costs, parts, outcome.gpuMs);
    const { routed } = outcome;
    if (routed) this.#queue.find(routed.sequenceId)?.plans.route(routed.layerPlan);
    const drafters = new DrafterCommits();
    for (let row = 0; row < sampling.length; row++) {
      const { sequence, round, kind } = sampling[row];
      const sampled = outcome.sampled[row];
      // Aborted, or sampled past its end before the end was known: nobody wants the token. Nor is a
      // draft one, until it is verified.
      if (sequence.state === "finished" || kind === "draft") continue;
      drafters.add(sequence.drafter, sampled, round);
      const reason = this.#queue.read(sequence, sampled, round);
      if (reason !== undefined) events.push(this.#endFor(sequence, reason));
    }
    drafters.tell(nowMs);
    return events;
  }

  /** Bound on the predicted time of all later plans, e.g. when a page is hidden or shown. */
  setQuantum(quantumMs: number): void {
    checkQuantum(quantumMs);
    this.#quantumMs = quantumMs;
  }

  get quantumMs(): number {
    return this.#quantumMs;
  }

  get numWaiting(): number {
    return this.#queue.numWaiting;
  }

  get numRunning(): number {
    return this.#queue.running.length;
  }

  /** Plans without an outcome yet. */
  get numInFlight(): number {
    return this.#inFlight.count;
  }

  /**
   * As many plans wait for their outcome as may. What was submitted cannot be recalled, so whoever arrives
   * next waits for it: at most two quanta and the completion latency. Two plans may always wait, even where
   * one takes longer than that, or the GPU would idle while one is read back.
   */
  get isFull(): boolean {
    return this.#inFlight.isFull(this.#config.maxRunAhead, this.#quantumMs, this.#queue.isAwaited);
  }

  /**
   * When to ask again, if nothing but the clock is missing. While the GPU is busy anyway, no plan is made of
   * new prompts alone: whoever comes meanwhile goes along, and the weights are read once for all (LAPS's
   * waiting window, as long as it costs nobody anything); nor before the host, once asked, has said what
   * may follow in an answer.
   */
  get wakeMs(): number | undefined {
    const { wakeMs } = this.#inFlight;
    if (this.numInFlight === 0 || wakeMs <= this.#nowMs) return undefined;
    const isGathering = this.numWaiting > 0 && !this.#queue.isAnyReady;
    return isGathering || this.#queue.isHostAsked ? wakeMs : undefined;
  }

  /** From the end of a plan on the GPU to its commit, a running mean in milliseconds. */
  get completionLatencyMs(): number {
    return this.#inFlight.completionLatencyMs;
  }

  /** How holds ended so far: used by a next request, expired, or broken for others. */
  get holds(): Readonly<Holds["counts"]> {
    return this.#holds.counts;
  }

  /** What stands before a request that comes now: `queueDelayMs` makes milliseconds of it. */
  queueState(nowMs: number): QueueState {
    const inFlightMs = Math.max(0, this.#inFlight.endMs - nowMs);
    const { capacity } = this.#blocks;
    const { live } = this.#queue;
    return queueStateOf(this.#config, { live, capacity, inFlightMs, ...this.#lengths });
  }

  /** Free blocks per KV group, the trash block not counted. */
  get freeBlocks(): readonly number[] {
    return this.#blocks.free;
  }

  /** Share of the blocks in use per KV group, 0 to 1. */
  get usage(): readonly number[] {
    return this.#blocks.usage;
  }

  /** Whose each block is. Walks all tables: ask now and then, not for every plan. */
  kvMap(): KvMap {
    return kvMap(this.#blocks, this.#queue.live);
  }

  #endFor(sequence: Sequence, reason: SchedulerEvent["reason"]): SchedulerEvent {
    this.#end(sequence);
    return endedEvent(sequence, reason, this.#nowMs);
  }

  #end(sequence: Sequence): void {
    this.#lengths.observeEnd(sequence);
    this.#queue.end(sequence, this.#nowMs);
    this.#host.drop(sequence);
    this.#holds.observeEnd(sequence, this.#nowMs);
  }
}
