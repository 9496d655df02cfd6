/**
 * The loop that keeps the GPU busy: plan, record, submit, and commit what comes back. It runs ahead
 * of readback and never waits for a token to encode the next step. When its device is lost it stands
 * still until it gets another, and goes on from the ids that were read.
 */
import type { KvMap, Scheduler } from "../scheduler/index.ts";
import type { SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { StepDecisions } from "./decided-layers.ts";
import { WeftError } from "./errors.ts";
import type { GuideWord } from "./guide/guided.ts";
import type { LiveSequence, SequenceStart } from "./live-sequence.ts";
import { LiveSequences } from "./live-sequences.ts";
import type { LoopObserver } from "./loop-observer.ts";
import type { LoopUsage } from "./loop-usage.ts";
import { PlanClock, totalMs } from "./plan-clock.ts";
import { type RowResult, rowResults, samplesOf, stepRow } from "./row-samples.ts";
import type { StepParts } from "./step-parts.ts";
import { nextTask } from "./task.ts";

export interface StepLoopOptions extends StepParts {
  readonly scheduler: Scheduler;
  readonly now: () => number;
  /** Sees every plan, for traces and tests. */
  readonly onPlan?: (plan: WorkPlan) => void;
  readonly observer?: LoopObserver;
  /**
   * The device failed under the loop. Whoever has another calls `loseDevice` and returns true;
   * otherwise the loop stops with the error.
   */
  readonly onDeviceFailure?: (error: WeftError) => boolean;
}

export class StepLoop {
  /**
   * Times that a running sequence could only go on once the host had read its last token, though
   * the queue had room for another plan.
   */
  hostWaits = 0;
  /** Plans that were read back. */
  numCommitted = 0;
  readonly #options: Omit<StepLoopOptions, keyof StepParts>;
  readonly #clock = new PlanClock();
  readonly #live: LiveSequences;
  #parts: StepParts;
  /** Counts devices: what comes back from an earlier one is nobody's. */
  #epoch = 0;
  #isStill = false;
  #isLost = false;
  #nextId = 1;
  #wake: (() => void) | undefined;
  /** Something has happened since the scheduler was asked. */
  #isStirred = false;
  #stopped: Error | undefined;
  /** The last plan's commit: readbacks may come in any order, plans are committed in their own. */
  #committed: Promise<void> = Promise.resolve();

  constructor({ runner, sampler, pooler, copier, swapped, ...options }: StepLoopOptions) {
    this.#options = options;
    this.#parts = { runner, sampler, pooler, copier, swapped };
    this.#live = new LiveSequences(
      this.#parts,
      options.now,
      (...guided) => this.#follow(...guided),
      options.observer,
    );
    void this.#run();
  }

  get usage(): LoopUsage {
    const { usage: kv, numInFlight: plans } = this.#options.scheduler;
    return { sequences: this.#live.size, slots: this.#parts.sampler.numSlotsTaken, kv, plans };
  }

  kvMap(): KvMap {
    return this.#options.scheduler.kvMap();
  }

  /** @returns Its id, for `abort`. @throws {SchedulerError} `request_too_long`, `bad_request`. */
  add(start: SequenceStart): SequenceId {
    if (this.#stopped) throw this.#stopped;
    const id = this.#nextId++;
    const { scheduler, now } = this.#options;
    const nowMs = now();
    const { promptIds, maxTokens, scheduling, adapter, forkOf } = start;
    const { layerPlan, alternation, drafter, guide, pooling } = start;
    const prompt = { id, numPromptTokens: promptIds.length, promptIds, maxTokens };
    const how = { adapter, layerPlan, alternation, drafter, forkOf, pausesAt: guide && 1 };
    const request = { ...scheduling, ...prompt, ...how, computesAll: pooling !== undefined };
    const ended = scheduler.add(request, nowMs);
    this.#live.add(id, start, nowMs);
    this.#live.end(ended);
    if (guide) this.#follow(this.#live.get(id)!, guide.first);
    this.#stir();
    return id;
  }

  /** @throws {SchedulerError} `bad_request`. */
  hold(session: string, ms: number): void {
    this.#options.scheduler.hold(session, ms, this.#options.now());
  }

  /** What was held may be what somebody waits for. */
  release(session: string): void {
    this.#options.scheduler.release(session);
    this.#stir();
  }

  /** Frees all that the sequence holds; nothing more is delivered. */
  abort(id: SequenceId): void {
    this.#options.scheduler.abort(id);
    this.#live.abort(id);
    this.#stir();
  }

  /** No plan is made until `goOn`. @returns Resolves when all plans in flight have come back. */
  async standStill(): Promise<void> {
    this.#isStill = true;
    await this.#committed;
  }

  goOn(): void {
    this.#isStill = false;
    this.#stir();
  }

  /** Bound on the predicted time of all later plans, in GPU milliseconds. */
  setQuantum(quantumMs: number): void {
    this.#options.scheduler.setQuantum(quantumMs);
  }

  /**
   * The device is gone: no plan is made and nothing of those in flight counts, until there is another.
   * Requests may come and go meanwhile.
   */
  loseDevice(): void {
    this.#epoch += 1;
    this.#isLost = true;
    this.#committed = Promise.resolve();
  }

  /**
   * Goes on with the same model on another device.
   * @param numBlocks By KV group, which may be fewer: whoever never fits there ends with `tooLong`.
   */
  moveTo(parts: StepParts, numBlocks: readonly number[], tooLong: WeftError): void {
    const { scheduler, now, observer } = this.#options;
    this.#parts = parts;
    this.#live.moveTo(parts);
    observer?.onLoss();
    for (const id of scheduler.loseDevice(now(), numBlocks)) this.#live.fail(id, tooLong);
    this.#isLost = false;
    this.#stir();
  }

  /** Ends every sequence with the error; the loop does not start again. */
  stop(error: Error): void {
    if (this.#stopped) return;
    this.#stopped = error;
    for (const { id } of [...this.#live]) {
      this.#options.scheduler.abort(id);
      this.#live.fail(id, error);
    }
    this.#stir();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#isStirred = false;
      if (await this.#step()) {
        await nextTask();
        continue;
      }
      // Behind the scheduler's "idle", when there was nobody to wake yet.
      if (this.#isStirred) continue;
      if (this.#waitsForToken()) this.hostWaits += 1;
      await this.#sleep();
    }
  }

  #stir(): void {
    this.#isStirred = true;
    this.#wake?.();
  }

  /** Until something happens, or until the scheduler wants to be asked. */
  async #sleep(): Promise<void> {
    const { scheduler, now } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      const { wakeMs } = scheduler;
      if (wakeMs !== undefined && this.#mayPlan) timer = setTimeout(resolve, wakeMs - now());
    });
    clearTimeout(timer);
    this.#wake = undefined;
  }

  get #mayPlan(): boolean {
    return !this.#isStill && !this.#isLost;
  }

  #waitsForToken(): boolean {
    if (!this.#mayPlan || this.#options.scheduler.isFull) return false;
    return [...this.#live].some(({ isGoingOn }) => isGoingOn);
  }

  /** @returns Whether there was anything to do. An error stops the loop, and is nobody else's. */
  async #step(): Promise<boolean> {
    if (!this.#mayPlan) return false;
    const { scheduler, now, observer } = this.#options;
    const epoch = this.#epoch;
    try {
      const nowMs = now();
      const plan = scheduler.schedule(nowMs);
      if (plan === "idle") return false;
      observer?.onPlan(plan, nowMs);
      await this.#submit(plan, epoch);
    } catch (error) {
      this.#fail(error, epoch);
    }
    return true;
  }

  #fail(cause: unknown, epoch: number): void {
    // Of a device that is gone already.
    if (epoch !== this.#epoch) return;
    const error = WeftError.from(cause);
    const isOfDevice = error.code === "device_lost" || error.code === "out_of_memory";
    if (!isOfDevice || !this.#options.onDeviceFailure?.(error)) this.stop(error);
  }

  async #submit(plan: WorkPlan, epoch: number): Promise<void> {
    const { now, onPlan, observer } = this.#options;
    const { runner, sampler, pooler, copier, swapped } = this.#parts;
    for (const id of plan.preempted) this.#live.releaseSlot(id);
    const rows = plan.rows.map((row) => stepRow(this.#live.started(row), row, sampler));
    const hasSwapped = swapped.out(plan.swapOut);
    // It is waited for once all is recorded, which may be later than it fails.
    hasSwapped.catch(() => {});
    // What comes in is written ahead of all that is recorded, so what goes out goes before.
    if (plan.swapOut.length > 0) runner.device.submit();
    swapped.in(plan.swapIn);
    copier.record(plan.copies);
    // Made before anything is waited for: a sequence may be aborted meanwhile.
    const sampled = plan.rows
      .filter(({ sample }) => sample)
      .map((row) => samplesOf(this.#live.get(row.sequenceId)!, row, sampler));
    const startedMs = now();
    const needsHidden = rows.some(({ pooling }) => pooling);
    await runner.record(rows, { ...plan, needsHidden });
    if (this.#stopped || epoch !== this.#epoch) return;
    const decisions = runner.decided();
    const pooled = pooler.record(rows);
    const tokens = sampler.record(sampled.flatMap(({ samples }) => samples));
    this.#committed = Promise.all([tokens, decisions, pooled, this.#committed, hasSwapped])
      .then(([read, decided, vectors]) => {
        if (epoch !== this.#epoch) return;
        const readMs = now();
        const submissionMs = [...earlier, submission].map(({ gpuMs }) => gpuMs);
        const gpuMs = this.#clock.gpuMs(totalMs(submissionMs), submittedMs, readMs);
        const results = rowResults(sampled, read);
        const counts = results.map(({ tokens }) => tokens.length);
        const times = { submittedMs, gpuMs, readMs, submissionMs };
        observer?.onCommit(plan, times, counts, decided?.ran);
        this.#commit(plan, gpuMs, results, decided, vectors);
      })
      .catch((error) => this.#fail(error, epoch));
    // Where experts come and go, the host submits in between, and nobody measures.
    const earlier = runner.experts ? [{ gpuMs: undefined }] : runner.submissions.made;
    const submittedMs = runner.experts || earlier.length > 0 ? startedMs : now();
    const submission = runner.device.submit();
    onPlan?.(plan);
  }

  #follow(sequence: LiveSequence, word: GuideWord): void {
    sequence.start.guide?.follow(this.#options.scheduler, this.#live, sequence, word);
    this.#stir();
  }

  #commit(
    plan: WorkPlan,
    gpuMs: number,
    results: readonly RowResult[],
    decisions: StepDecisions | undefined,
    vectors: ReadonlyMap<SequenceId, Float32Array> | undefined,
  ): void {
    if (this.#stopped) return;
    const { scheduler, now } = this.#options;
    this.numCommitted += 1;
    const routed = decisions?.layers && this.#live.routed(plan, decisions.layers);
    const sampled = results.map((result) => this.#live.deliver(result, decisions?.ran, vectors));
    const committed = { planId: plan.id, gpuMs, sampled, routed };
    this.#live.end(scheduler.commit(committed, now()));
    this.#stir();
  }
}
