/**
 * The sequences of a step loop that have not ended. Owns what becomes of each: its slot while it
 * runs, who hears of its tokens and of its end. Plans nothing and records nothing.
 */
import type { SampledOutcome, SchedulerEvent } from "../scheduler/index.ts";
import type { LayerPlan, PlannedRow, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { StepDecisions } from "./decided-layers.ts";
import { supersededError } from "./errors.ts";
import type { GuideWord } from "./guide/guided.ts";
import { LiveSequence, type SequenceStart } from "./live-sequence.ts";
import type { LoopObserver } from "./loop-observer.ts";
import { layerTokens, type RowResult } from "./row-samples.ts";
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
    if (kind === "draft") {
      if (sequence) this.#hear(sequence, sequence.start.guide?.tellDrafts(sequence, row));
      return { sequenceId, finished: false };
    }
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
    if (sequence && !finished) this.#hear(sequence, sequence.start.guide?.tell(sequence, tokenIds));
    if (kind === "compute")
      return { sequenceId, finished, executed, tokenId: tokenIds[0], proposed };
    return { sequenceId, finished, tokenIds, proposed };
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
      } else if (start.guide) void start.guide.end(sequence, reason);
      else start.onFinish(reason, layerTokens);
    }
  }

  /** What its guide finds out comes when the tokens have been committed. */
  #hear(sequence: LiveSequence, asked: Promise<GuideWord | undefined> | undefined): void {
    const hear = (word: GuideWord | undefined) => {
      if (word) this.#onGuidance(sequence, word);
    };
    asked?.then(hear, hear);
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
    this.releaseSlot(id);
    this.#parts.swapped.drop(id);
    this.#live.delete(id);
    this.#observer?.onEnd(id, end, this.#now());
  }

  /** Plans in flight may still use what it had: those that get it run later. */
  releaseSlot(id: SequenceId): void {
    const sequence = this.#live.get(id)!;
    this.#parts.runner.dropParked(id);
    if (sequence.slot !== undefined) this.#parts.sampler.releaseSlot(sequence.slot);
    sequence.slot = undefined;
  }

  /** Of the device that is lost nothing remains: each goes on from the ids that were read. */
  moveTo(parts: StepParts): void {
    this.#parts = parts;
    for (const sequence of this.#live.values()) sequence.forgetUnread();
  }
}

type OnGuidance = (sequence: LiveSequence, word: GuideWord) => void;

export type RoutedOutcome = { sequenceId: SequenceId; layerPlan: LayerPlan } | undefined;
