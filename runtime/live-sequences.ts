/**
 * The sequences of a step loop that have not ended. Owns what becomes of each: its slot while it
 * runs, who hears of its tokens and of its end. Plans nothing and records nothing.
 */
import type { SampledOutcome, SchedulerEvent } from "../scheduler/index.ts";
import type { LayerPlan, PlannedRow, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { StepDecisions } from "./decided-layers.ts";
import { supersededError, WeftError } from "./errors.ts";
import type { Guidance } from "./guide/guide.ts";
import { LiveSequence, type SequenceStart } from "./live-sequence.ts";
import type { LoopObserver } from "./loop-observer.ts";
import { layerTokens, type RowResult } from "./row-samples.ts";
import { hasPenalties } from "./sampler.ts";
import type { StepParts } from "./step-parts.ts";

export class LiveSequences {
  readonly #live = new Map<SequenceId, LiveSequence>();
  readonly #now: () => number;
  readonly #observer: LoopObserver | undefined;
  readonly #onGuidance: OnGuidance;
  #parts: StepParts;

  /** @param onGuidance A guide has said more. */
  constructor(
    parts: StepParts,
    now: () => number,
    onGuidance: OnGuidance,
    observer?: LoopObserver,
  ) {
    this.#parts = parts;
    this.#now = now;
    this.#onGuidance = onGuidance;
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

  /** Delivers what came of a row. @param vectors Embeddings of texts that have ended. */
  deliver(
    { row, tokens }: RowResult,
    ran: StepDecisions["ran"],
    vectors: ReadonlyMap<SequenceId, Float32Array> | undefined,
  ): SampledOutcome {
    const { sequenceId, kind } = row;
    const sequence = this.#live.get(sequenceId);
    const vector = vectors?.get(sequenceId);
    if (vector) {
      sequence?.start.onPooled?.(vector);
      return { sequenceId, finished: true };
    }
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
    if (sequence && !finished) this.#askGuide(sequence, tokenIds);
    const proposed = sequence?.propose(tokenIds) ?? 0;
    if (kind === "compute")
      return { sequenceId, finished, executed, tokenId: tokenIds[0], proposed };
    return { sequenceId, finished, tokenIds, proposed };
  }

  /** @returns Whether the sequence ends with what it is given. */
  take(sequence: LiveSequence, { given, mask }: Guidance): boolean {
    sequence.mask = mask;
    if (given.length === 0) return false;
    // Penalties count what was sampled; what was given they count with the next slot.
    if (hasPenalties(sequence.start.sampling)) this.releaseSlot(sequence);
    return sequence.give(given);
  }

  end(events: readonly Pick<SchedulerEvent, "sequenceId" | "reason">[]): void {
    for (const { sequenceId, reason } of events) {
      const sequence = this.#live.get(sequenceId);
      this.forget(sequenceId, reason === "superseded" ? "aborted" : "finished");
      if (!sequence) continue;
      const { start, layerTokens } = sequence;
      if (reason === "superseded") {
        start.guide?.close();
        start.onError(supersededError());
      } else if (start.guide) void endGuided(sequence, reason);
      else start.onFinish(reason, layerTokens);
    }
  }

  /** What its guide finds out comes when the tokens have been committed. */
  #askGuide(sequence: LiveSequence, tokenIds: readonly number[]): void {
    sequence.tellGuide(tokenIds)?.then(
      (guidance) => this.#onGuidance(sequence, guidance),
      (error) => this.#onGuidance(sequence, error),
    );
  }

  /** Nothing more is delivered. */
  abort(id: SequenceId): void {
    const sequence = this.#live.get(id);
    this.forget(id, "aborted");
    sequence?.start.guide?.close();
  }

  /** Its caller hears the error, and nothing more. */
  fail(id: SequenceId, error: unknown): void {
    const sequence = this.#live.get(id);
    this.forget(id, "aborted");
    sequence?.start.guide?.close();
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

/** Cut at its limit, an answer may be whole all the same; and a whole one is verified. */
async function endGuided(
  { start, asked, layerTokens }: LiveSequence,
  reason: "stop" | "length",
): Promise<void> {
  try {
    const isWhole = reason === "stop" || ((await asked)?.isWhole ?? false);
    const fault = isWhole ? await start.guide?.verify?.() : undefined;
    if (fault !== undefined) throw new WeftError("internal", unfitting(fault));
    start.onFinish(isWhole ? "stop" : "length", layerTokens);
  } catch (error) {
    start.onError(WeftError.from(error));
  } finally {
    start.guide?.close();
  }
}

const unfitting = (fault: string): string =>
  `the answer does not fit its schema: ${fault}; this is a fault of Weft, please report it with the schema`;

/** @param guidance An error where the guide cannot go on. */
type OnGuidance = (sequence: LiveSequence, guidance: Guidance | Error) => void;

export type RoutedOutcome = { sequenceId: SequenceId; layerPlan: LayerPlan } | undefined;
