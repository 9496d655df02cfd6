/** What a sequence has sampled: how many tokens, and which, as far as the host was told. */
import { assert } from "./assert.ts";

export class Samples {
  /** Of prompt and samples, as far as they were told without a gap. */
  readonly ids: number[];
  readonly #numPromptTokens: number;
  #count = 0;
  #numRead = 0;
  #numBeforeStart = 0;

  constructor(numPromptTokens: number, promptIds: readonly number[] = []) {
    this.#numPromptTokens = numPromptTokens;
    this.ids = [...promptIds];
  }

  /** Those included that only the GPU knows yet. */
  get count(): number {
    return this.#count;
  }

  get numRead(): number {
    return this.#numRead;
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

  /** Nobody will ever know what was not read: it is sampled again. */
  forgetUnread(): void {
    this.#count = this.#numRead;
  }
}
