/** Share of the KV cache that holds tokens, and its mean over time. Counts tokens, not blocks. */
import type { SequenceId } from "../work-plan.ts";

export class KvMeter {
  readonly #capacityTokens: number;
  readonly #held = new Map<SequenceId, number>();
  #heldTokens = 0;
  #nowMs = 0;
  #tokenMs = 0;

  constructor(capacityTokens: number) {
    this.#capacityTokens = capacityTokens;
  }

  get share(): number {
    return this.#heldTokens / this.#capacityTokens;
  }

  /** From time 0 until now. */
  get meanShare(): number {
    return this.#nowMs === 0 ? 0 : this.#tokenMs / this.#nowMs / this.#capacityTokens;
  }

  advance(nowMs: number): void {
    this.#tokenMs += this.#heldTokens * (nowMs - this.#nowMs);
    this.#nowMs = nowMs;
  }

  /** The sequence holds so many tokens from now on; 0 once it gave them back. */
  hold(id: SequenceId, numTokens: number): void {
    this.#heldTokens += numTokens - (this.#held.get(id) ?? 0);
    if (numTokens === 0) this.#held.delete(id);
    else this.#held.set(id, numTokens);
  }
}
