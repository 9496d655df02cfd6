/**
 * The loop that keeps the GPU busy: plan, record, submit, and commit what comes back. It runs ahead
 * of readback and never waits for a token to encode the next step.
 */
import type { Scheduler, SchedulerEvent } from "../scheduler/index.ts";
import type { PlannedRow, SampledOutcome, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { BlockCopier } from "./block-copier.ts";
import type { StepDecisions } from "./decided-layers.ts";
import { supersededError, WeftError } from "./errors.ts";
import { LiveSequence, type SequenceStart } from "./live-sequence.ts";
import type { LoopObserver } from "./loop-observer.ts";
import type { ModelRunner } from "./model-runner.ts";
import { PlanClock } from "./plan-clock.ts";
import { draftsOf, layerTokens, type RowResult, samplesOf, standing } from "./row-samples.ts";
import type { Sampler } from "./sampler.ts";
import type { SwappedBlocks } from "./swapped-blocks.ts";
import { nextTask } from "./task.ts";

export interface StepLoopOptions {
  readonly runner: ModelRunner;
  readonly sampler: Sampler;
  readonly copier: BlockCopier;
  readonly swapped: SwappedBlocks;
  readonly scheduler: Scheduler;
  readonly now: () => number;
  /** Sees every plan, for traces and tests. */
  readonly onPlan?: (plan: WorkPlan) => void;
  readonly observer?: LoopObserver;
}

/** What a step loop holds at one moment; all zero when nothing is under way. */
export interface LoopUsage {
  /** Sequences that have not ended, waiting ones included. */
  readonly sequences: number;
  readonly slots: number;
  /** Share of the blocks in use per KV group, 0 to 1. */
  readonly kv: readonly number[];
  /** Plans that were not read back yet. */
  readonly plans: number;
}

export class StepLoop {
  /**
   * Times that a running sequence could only go on once the host had read its last token, though
   * the queue had room for another plan.
   */
  hostWaits = 0;
  readonly #options: StepLoopOptions;
  readonly #clock = new PlanClock();
  readonly #live = new Map<SequenceId, LiveSequence>();
  #nextId = 1;
  #wake: (() => void) | undefined;
  #stopped: Error | undefined;
  /** The last plan's commit: readbacks may come in any order, plans are committed in their own. */
  #committed: Promise<void> = Promise.resolve();

  constructor(options: StepLoopOptions) {
    this.#options = options;
    void this.#run();
  }

  get usage(): LoopUsage {
    const { scheduler, sampler } = this.#options;
    return {
      sequences: this.#live.size,
      slots: sampler.numSlotsTaken,
      kv: scheduler.usage,
      plans: scheduler.numInFlight,
    };
  }

  /** @returns Its id, for `abort`. @throws {SchedulerError} `request_too_long`, `bad_request`. */
  add(start: SequenceStart): SequenceId {
    if (this.#stopped) throw this.#stopped;
    const sequence = new LiveSequence(this.#nextId++, start);
    const { id } = sequence;
    const { scheduler, now, observer } = this.#options;
    const nowMs = now();
    const { promptIds, maxTokens, scheduling, adapter, forkOf } = start;
    const { layerPlan, alternation, drafter } = start;
    const prompt = { numPromptTokens: promptIds.length, promptIds };
    const how = { adapter, layerPlan, alternation, drafter, forkOf };
    const request = { ...scheduling, id, ...prompt, maxTokens, ...how };
    const ended = scheduler.add(request, nowMs);
    this.#live.set(id, sequence);
    observer?.onAdd(id, start, nowMs);
    this.#end(ended);
    this.#wake?.();
    return id;
  }

  /** @throws {SchedulerError} `bad_request`. */
  hold(session: string, ms: number): void {
    this.#options.scheduler.hold(session, ms, this.#options.now());
  }

  /** What was held may be what somebody waits for. */
  release(session: string): void {
    this.#options.scheduler.release(session);
    this.#wake?.();
  }

  /** Frees all that the sequence holds; nothing more is delivered. */
  abort(id: SequenceId): void {
    this.#options.scheduler.abort(id);
    this.#forget(id, "aborted");
    this.#wake?.();
  }

  /** Ends every sequence with the error; the loop does not start again. */
  stop(error: Error): void {
    if (this.#stopped) return;
    this.#stopped = error;
    for (const { id, start } of [...this.#live.values()]) {
      this.#options.scheduler.abort(id);
      this.#forget(id, "aborted");
      start.onError(error);
    }
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (await this.#step()) {
        await nextTask();
        continue;
      }
      if (this.#waitsForToken()) this.hostWaits += 1;
      await this.#sleep();
    }
  }

  /** Until something happens, or until the scheduler wants to be asked. */
  async #sleep(): Promise<void> {
    const { scheduler, now } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      const { wakeMs } = scheduler;
      if (wakeMs !== undefined) timer = setTimeout(resolve, wakeMs - now());
    });
    clearTimeout(timer);
    this.#wake = undefined;
  }

  #waitsForToken(): boolean {
    if (this.#options.scheduler.isFull) return false;
    const started = [...this.#live.values()].filter(({ slot }) => slot !== undefined);
    return started.some(({ numSampled, start }) => numSampled < start.maxTokens);
  }

  /** @returns Whether there was anything to do. An error stops the loop, and is nobody else's. */
  async #step(): Promise<boolean> {
    const { scheduler, now, observer } = this.#options;
    try {
      const nowMs = now();
      const plan = scheduler.schedule(nowMs);
      if (plan === "idle") return false;
      observer?.onPlan(plan, nowMs);
      await this.#submit(plan);
    } catch (error) {
      this.stop(WeftError.from(error));
    }
    return true;
  }

  async #submit(plan: WorkPlan): Promise<void> {
    const { runner, sampler, copier, swapped, now, onPlan, observer } = this.#options;
    for (const id of plan.preempted) this.#releaseSlot(this.#live.get(id)!);
    const rows = plan.rows.map((planned) => {
      const sequence = this.#started(planned);
      const { ids, slot, start } = sequence;
      const drafts = draftsOf(sequence, planned, sampler);
      return { planned, ids, slot: slot!, adapter: start.adapter, drafts };
    });
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
    await runner.record(rows);
    if (this.#stopped) return;
    const decisions = runner.decided();
    const tokens = sampler.record(sampled.flatMap(({ samples }) => samples));
    this.#committed = Promise.all([tokens, decisions, this.#committed, hasSwapped])
      .then(([read, decided]) => {
        const readMs = now();
        // Of a step in several submissions, the device has measured but the last.
        const gpuMs = this.#clock.gpuMs(runner.experts ? {} : submission, submittedMs, readMs);
        let first = 0;
        const results = sampled.map((samples): RowResult => {
          const end = first + samples.samples.length;
          const tokens = standing(samples, read.slice(first, end));
          first = end;
          return { row: samples.row, tokens };
        });
        const counts = results.map(({ tokens }) => tokens.length);
        observer?.onCommit(plan, { submittedMs, gpuMs, readMs }, counts, decided?.ran);
        this.#commit(plan, gpuMs, results, decided);
      })
      .catch((error) => this.stop(WeftError.from(error)));
    const submittedMs = runner.experts ? startedMs : now();
    const submission = runner.device.submit();
    onPlan?.(plan);
  }

  #commit(
    plan: WorkPlan,
    gpuMs: number,
    results: readonly RowResult[],
    decisions: StepDecisions | undefined,
  ): void {
    if (this.#stopped) return;
    const { scheduler, now } = this.#options;
    const routed = decisions?.layers && this.#routed(plan, decisions.layers);
    const sampled = results.map((result) => this.#outcome(result, decisions?.ran));
    const committed = { planId: plan.id, gpuMs, sampled, routed };
    this.#end(scheduler.commit(committed, now()));
    this.#wake?.();
  }

  #end(events: readonly SchedulerEvent[]): void {
    for (const { sequenceId, reason } of events) {
      const sequence = this.#live.get(sequenceId);
      this.#forget(sequenceId, reason === "superseded" ? "aborted" : "finished");
      if (reason === "superseded") sequence?.start.onError(supersededError());
      else sequence?.start.onFinish(reason, sequence.layerTokens);
    }
  }

  /**
   * Gives a sequence its slot with its first row, and again with the first after a preemption: by
   * then all it sampled has been read, so penalties go on where they were.
   */
  #started({ sequenceId }: PlannedRow): LiveSequence {
    const sequence = this.#live.get(sequenceId)!;
    const { sampling, promptIds } = sequence.start;
    sequence.slot ??= this.#options.sampler.takeSlot(
      sampling,
      promptIds,
      sequence.ids.slice(promptIds.length),
    );
    return sequence;
  }

  #routed({ rows }: WorkPlan, decisions: Uint32Array) {
    const { sequenceId } = rows.find(({ layerPlan }) => layerPlan?.isRouted)!;
    const layerPlan = this.#live.get(sequenceId)?.start.onRouted?.(decisions);
    return layerPlan && { sequenceId, layerPlan };
  }

  /** Delivers what came of a row. */
  #outcome({ row, tokens }: RowResult, ran: StepDecisions["ran"]): SampledOutcome {
    const { sequenceId, kind } = row;
    const sequence = this.#live.get(sequenceId);
    const { spec } = this.#options.runner;
    const left = ran?.get(sequenceId) || spec.layers.length;
    if (sequence) sequence.layerTokens += layerTokens(row, sequence, left);
    const executed = left / spec.layers.length;
    if (kind === "draft") return { sequenceId, finished: false };
    const tokenIds: number[] = [];
    let finished = false;
    for (const token of tokens) {
      sequence?.ids.push(token.id);
      tokenIds.push(token.id);
      finished = sequence?.start.onToken(token) ?? false;
      if (finished) break;
    }
    if (kind === "verify" && sequence) sequence.numSampled += tokenIds.length;
    const proposed = sequence?.propose(tokenIds) ?? 0;
    if (kind === "compute")
      return { sequenceId, finished, executed, tokenId: tokenIds[0], proposed };
    return { sequenceId, finished, tokenIds, proposed };
  }

  #forget(id: SequenceId, end: "finished" | "aborted"): void {
    const sequence = this.#live.get(id);
    if (sequence === undefined) return;
    this.#releaseSlot(sequence);
    this.#options.swapped.drop(id);
    this.#live.delete(id);
    this.#options.observer?.onEnd(id, end, this.#options.now());
  }

  /** Plans in flight may still use what it had: those that get it run later. */
  #releaseSlot(sequence: LiveSequence): void {
    this.#options.runner.dropParked(sequence.id);
    if (sequence.slot !== undefined) this.#options.sampler.releaseSlot(sequence.slot);
    sequence.slot = undefined;
  }
}
