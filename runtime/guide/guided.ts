/**
 * One guided answer on its way: between its guide, which says what may follow, and the step loop, which samples
 * it. Owns the masks of what is sampled next, and what becomes of the sequence when the guide has spoken.
 */
import type { Drafter, Scheduler, SchedulerEvent } from "../../scheduler/index.ts";
import type { PlannedRow, SequenceId } from "../../scheduler/work-plan.ts";
import { WeftError } from "../errors.ts";
import { hasPenalties, type ResolvedSampling } from "../sampler.ts";
import type { Guidance, Guide, Mask } from "./guide.ts";

/** A sequence of the step loop, as far as its guide goes. */
export interface GuidedSequence {
  readonly id: SequenceId;
  readonly numRead: number;
  readonly layerTokens: number;
  /** Of the round under way, as they are read; another list for each round. */
  readonly drafts: readonly number[];
  /** Drafts of the host for what follows the last token. */
  proposal: readonly number[];
  readonly start: {
    readonly maxTokens: number;
    readonly sampling: ResolvedSampling;
    readonly drafter?: Drafter;
    readonly lookup?: object;
    onFinish(reason: "stop" | "length", layerTokens: number): void;
    onError(error: unknown): void;
  };
  give(tokenIds: readonly number[]): boolean;
}

/** Those that have not ended. */
export interface GuidedSequences {
  get(id: SequenceId): GuidedSequence | undefined;
  end(events: readonly Pick<SchedulerEvent, "sequenceId" | "reason">[]): void;
  fail(id: SequenceId, error: unknown): void;
  /** It takes another when it runs again. */
  releaseSlot(id: SequenceId): void;
}

/** What follows, or of each draft that fits what may follow it; an error where the guide cannot go on. */
export type GuideWord = Guidance | readonly Mask[] | Error;

export class Guided {
  /** What its guide says of the first token. */
  readonly first: Guidance;
  /** [1 + drafts] What may be sampled next and, behind drafts, after these. */
  masks: readonly Mask[] = [];
  readonly #guide: Guide;
  #asked: Promise<Guidance>;
  /** Most drafts that may be verified with the next token. */
  #numDrafts = 0;

  private constructor(guide: Guide, first: Guidance) {
    this.#guide = guide;
    this.first = first;
    this.#asked = Promise.resolve(first);
  }

  /** @throws {WeftError} Of the guide. */
  static async begin(guide: Guide, maxTokens: number): Promise<Guided> {
    return new Guided(guide, (await guide.next([], maxTokens))!);
  }

  /** Tells the guide what was said. What the host has to propose behind it is made to fit. */
  tell(sequence: GuidedSequence, tokenIds: readonly number[]): Promise<GuideWord> | undefined {
    const asked = this.#guide.next(tokenIds, numLeft(sequence));
    this.#asked = asked ?? this.#asked;
    return asked?.then((guidance) => this.#withProposal(sequence, guidance));
  }

  async #withProposal(sequence: GuidedSequence, guidance: Guidance): Promise<Guidance> {
    const { proposal } = sequence;
    if (!guidance.mayDraft || guidance.given.length > 0 || proposal.length === 0) return guidance;
    const fitting = await this.#guide.fitting?.(proposal, numLeft(sequence));
    return { ...guidance, fitting };
  }

  /**
   * Shows the guide a round's drafts, once the last is read.
   * @returns Undefined where there is nothing to say, or nobody to say it to: the round is given up meanwhile.
   */
  async tellDrafts(
    sequence: GuidedSequence,
    { drafts: { from, to } = NONE }: PlannedRow,
  ): Promise<GuideWord | undefined> {
    const { drafts } = sequence;
    if (this.#numDrafts === 0 || drafts.length < to - from) return undefined;
    const fitting = await this.#guide.fitting?.(drafts, numLeft(sequence));
    return sequence.drafts === drafts ? fitting : undefined;
  }

  /** Goes on as the guide says. */
  follow(
    scheduler: Scheduler,
    live: GuidedSequences,
    sequence: GuidedSequence,
    word: GuideWord,
  ): void {
    const { id: sequenceId } = sequence;
    // Aborted meanwhile.
    if (live.get(sequenceId) !== sequence) return;
    if (word instanceof Error) {
      scheduler.abort(sequenceId);
      live.fail(sequenceId, WeftError.from(word));
    } else if (isFitting(word)) {
      this.masks = [this.masks[0], ...word];
      scheduler.fit(sequenceId, word.length);
    } else if (this.#take(live, sequence, word) || word.mustEnd) {
      scheduler.abort(sequenceId);
      live.end([{ sequenceId, reason: "stop" }]);
    } else {
      const pausesAt = sequence.numRead + word.pausesIn;
      live.end(scheduler.resume(sequenceId, word.given, pausesAt, this.#numDrafts));
    }
  }

  /** @returns Whether the answer ends with the last token that it is given. */
  #take(live: GuidedSequences, sequence: GuidedSequence, guidance: Guidance): boolean {
    const { given, mask, mayDraft, fitting = [] } = guidance;
    const { lookup, drafter, sampling } = sequence.start;
    this.masks = [mask, ...fitting];
    sequence.proposal = sequence.proposal.slice(0, fitting.length);
    const mostDrafts = lookup ? fitting.length : (drafter?.max ?? 0);
    this.#numDrafts = mayDraft && given.length === 0 ? mostDrafts : 0;
    if (given.length === 0) return false;
    // Penalties count what was sampled; what was given they count with the next slot.
    if (hasPenalties(sampling)) live.releaseSlot(sequence.id);
    return sequence.give(given);
  }

  /** Cut at its limit, an answer may be whole all the same; and a whole one is verified. */
  async end({ start, layerTokens }: GuidedSequence, reason: "stop" | "length"): Promise<void> {
    try {
      const isWhole = reason === "stop" || (await this.#asked).isWhole;
      const fault = isWhole ? await this.#guide.verify?.() : undefined;
      if (fault !== undefined) throw new WeftError("internal", unfitting(fault));
      start.onFinish(isWhole ? "stop" : "length", layerTokens);
    } catch (error) {
      start.onError(WeftError.from(error));
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#guide.close();
  }
}

const NONE = { from: 0, to: 0 };

const numLeft = ({ start, numRead }: GuidedSequence): number => start.maxTokens - numRead;

const isFitting = (word: Guidance | readonly Mask[]): word is readonly Mask[] =>
  Array.isArray(word);

const unfitting = (fault: string): string =>
  `the answer does not fit its schema: ${fault}; this is a fault of Weft, please report it with the schema`;
