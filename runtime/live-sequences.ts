/**
 * The sequences of a step loop that have not ended. Owns what becomes of each: its slot while it
 * runs, who hears of its tokens and of its end. Plans nothing and records nothing.
 */
import type { SampledOutcome, SchedulerEvent } from "../scheduler/index.ts";
import type { LayerPlan, PlannedRow, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { StepDecisions } from "./decided-layers.ts";
import { supersededError } from "./errors.ts";
import { LiveSequence, type SequenceStart } from "./live-sequence.ts";
import type { LoopObserver } from "./loop-observer.ts";
import { layerTokens, type RowResult } from "./row-samples.ts";
import type { StepParts } from "./step-parts.ts";

export class LiveSequences {
  readonly #live = new Map<SequenceId, LiveSequence>();
  readonly #now: () => number;
  readonly #observer: LoopObserver | undefined;
  #parts: StepParts;

  constructor(parts: StepParts, now: () => number, observer?: LoopObserver) {
    this.#parts = parts;
    this.#now = now;
    this.#observer = observer;
  }

  get size(): number {
    return this.#live.size;
  }

  [Symbol.iterator](): IterableIterator<LiveSequence> {
    return this.#live.values();
  }

  get(id: SequenceId): LiveSequence | undefined {
    return this.#live.get(id);
  }

  add(id: SequenceId, start: SequenceStart, nowMs: number): void {
    this.#live.set(id, new LiveSequence(id, start));
    this.#observer?.onAdd(id, start, nowMs);
  }

  /**
   * Gives a sequence its slot with its first row, and again with the first after a preemption: by
   * then all it sampled has been read, so penalties go on where they were.
   */
  started({ sequenceId }: PlannedRow): LiveSequence {
    const sequence = this.#live.get(sequenceId)!;
    const { sampling, promptIds } = sequence.start;
    sequence.slot ??= this.#parts.sampler.takeSlot(
      sampling,
      promptIds,
      sequence.ids.slice(promptIds.length),
    );
    return sequence;
  }

  routed({ rows }: WorkPlan, decisions: Uint32Array): RoutedOutcome {
    const { sequenceId } = rows.find(({ layerPlan }) => layerPlan?.isRouted)!;
    const layerPlan = this.#live.get(sequenceId)?.start.onRouted?.(decisions);
    return layerPlan && { sequenceId, layerPlan };
  }

  /** Delivers what came of a row. */
  deliver({ row, tokens }: RowResult, ran: StepDecisions["ran"]): SampledOutcome {
    const { sequenceId, kind } = row;
    const sequence = this.#live.get(sequenceId);
    const { spec } = this.#parts.runner;
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

  end(events: readonly SchedulerEvent[]): void {
    for (const { sequenceId, reason } of events) {
      const sequence = this.#live.get(sequenceId);
      this.forget(sequenceId, reason === "superseded" ? "aborted" : "finished");
      if (reason === "superseded") sequence?.start.onError(supersededError());
      else sequence?.start.onFinish(reason, sequence.layerTokens);
    }
  }

  /** Its caller hears the error, and nothing more. */
  fail(id: SequenceId, error: unknown): void {
    const sequence = this.#live.get(id);
    this.forget(id, "aborted");
    sequence?.start.onError(error);
  }

  forget(id: SequenceId, end: "finished" | "aborted"): void {
    const sequence = this.#live.get(id);
    if (sequence === undefined) return;
    this.releaseSlot(sequence);
    this.#parts.swapped.drop(id);
    this.#live.delete(id);
    this.#observer?.onEnd(id, end, this.#now());
  }

  /** Plans in flight may still use what it had: those that get it run later. */
  releaseSlot(sequence: LiveSequence): void {
    this.#parts.runner.dropParked(sequence.id);
    if (sequence.slot !== undefined) this.#parts.sampler.releaseSlot(sequence.slot);
    sequence.slot = undefined;
  }

  /** Of the device that is lost nothing remains: each goes on from the ids that were read. */
  moveTo(parts: StepParts): void {
    this.#parts = parts;
    for (const sequence of this.#live.values()) sequence.forgetUnread();
  }
}

export type RoutedOutcome = { sequenceId: SequenceId; layerPlan: LayerPlan } | undefined;
