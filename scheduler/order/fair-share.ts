/**
 * Virtual token counters: what each client was given, so that the one with the least is next.
 * Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024, algorithm 2.
 *
 * Two clients that both always wait differ by at most 2 · max(wp · longest prompt, wq · M), M being
 * the tokens that the KV cache holds (theorem 4.4).
 */

/** wp and wq: a sampled token costs a pass of its own, a prompt's tokens share theirs. */
export const PROMPT_WEIGHT = 1;
export const SAMPLED_WEIGHT = 2;

export class FairShare {
  readonly #counters = new Map<string, number>();
  readonly #numWaiting = new Map<string, number>();
  /** Of the client that was the last to leave. */
  #lastCounter = 0;

  counterOf(client: string): number {
    return this.#counters.get(client) ?? 0;
  }

  /** A client that had nobody waiting is lifted to the least of those that have: idling saves nothing. */
  waits(client: string): void {
    const count = this.#numWaiting.get(client) ?? 0;
    if (count === 0) this.#counters.set(client, Math.max(this.counterOf(client), this.#least()));
    this.#numWaiting.set(client, count + 1);
  }

  leaves(client: string): void {
    const count = this.#numWaiting.get(client)! - 1;
    if (count > 0) this.#numWaiting.set(client, count);
    else this.#numWaiting.delete(client);
    this.#lastCounter = this.counterOf(client);
  }

  charge(client: string, cost: number): void {
    this.#counters.set(client, this.counterOf(client) + cost);
    if (this.#counters.size > 2 * this.#numWaiting.size + MAX_IDLE_CLIENTS) this.#forget();
  }

  #least(): number {
    if (this.#numWaiting.size === 0) return this.#lastCounter;
    return Math.min(...[...this.#numWaiting.keys()].map((client) => this.counterOf(client)));
  }

  /** Whoever would be lifted on return needs no counter. */
  #forget(): void {
    const least = this.#least();
    for (const [client, counter] of this.#counters)
      if (!this.#numWaiting.has(client) && counter <= least) this.#counters.delete(client);
  }
}

const MAX_IDLE_CLIENTS = 256;
