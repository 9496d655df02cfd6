/** What a sequence has sampled: how many tokens, and which, as far as the host was told. */
import { assert } from "./assert.ts";
import type { SequenceRequest } from "./sequence-request.ts";

export class Samples {
  /** Of prompt and samples, as far as they were told without a gap. */
  readonly ids: number[];
  readonly #numPromptTokens: number;
  readonly #maxTokens: number;
  /** So many may be sampled before the host says more. */
  #pausesAt: number;
  /** Drafts behind the next sample that it has seen, or will see, before they are verified. */
  #drafts = 0;
  #count = 0;
  #numRead = 0;
  #numBeforeStart = 0;

  constructor({ numPromptTokens, promptIds = [], maxTokens, pausesAt }: SequenceRequest) {
    this.#numPromptTokens = numPromptTokens;
    this.#maxTokens = maxTokens;
    this.#pausesAt = pausesAt ?? Number.POSITIVE_INFINITY;
    this.ids = [...promptIds];
  }

  /** Those included that only the GPU knows yet. */
  get count(): number {
    return this.#count;
  }

  get numRead(): number {
    return this.#numRead;
  }

  /** No more may be sampled, for ever or until the host says so. */
  get isHeldUp(): boolean {
    return this.#count >= Math.min(this.#maxTokens, this.#pausesAt);
  }

  /** The host knows all there is, and has yet to say what may follow. */
  get isAsked(): boolean {
    return this.#count === this.#numRead && this.isHeldUp && this.#count < this.#maxTokens;
  }

  /** Drafts of a round that would begin now. */
  get draftRoom(): number {
    const untilPause = Math.max(this.#pausesAt - this.#count - 1, this.#drafts);
    return Math.min(untilPause, this.#maxTokens - this.#count - 1);
  }

  /** A round of so many drafts waits for the host to say which may be verified. */
  passesPause(drafts: number): boolean {
    return this.#count + 1 + drafts > this.#pausesAt;
  }

  /** All that there may be have been read. */
  get isWhole(): boolean {
    return this.#numRead === this.#maxTokens;
  }

  /** There are some of running since the last start. */
  get hasNew(): boolean {
    return this.#count > this.#numBeforeStart;
  }

  start(): void {
    this.#numBeforeStart = this.#count;
  }

  draw(count: number): void {
    this.#count += count;
  }

  /** The host has the next ones. @param ids Undefined where it does not say which. */
  read(ids: readonly (number | undefined)[]): void {
    const isNext = this.ids.length === this.#numPromptTokens + this.#numRead;
    this.#numRead += ids.length;
    assert(this.#numRead <= this.#count, "a token was read that none sampled");
    if (isNext) for (const id of ids) if (id !== undefined) this.ids.push(id);
  }

  /**
   * The host has said what may follow.
   * @param ids What does, whatever the model says; all that was sampled has been read.
   * @param pausesAt Samples, these included, after which it is to be asked again.
   * @param drafts That may follow the next sample all the same, and be verified with it.
   */
  resume(ids: readonly number[], pausesAt: number, drafts: number): void {
    this.#pausesAt = pausesAt;
    this.#drafts = drafts;
    if (ids.length === 0) return;
    assert(this.#count === this.#numRead, "tokens are given behind samples that were not read");
    assert(this.#count + ids.length <= this.#maxTokens, "more tokens are given than there may be");
    this.draw(ids.length);
    this.read(ids);
  }

  /** Nobody will ever know what was not read: it is sampled again. */
  forgetUnread(): void {
    this.#count = this.#numRead;
  }
}
