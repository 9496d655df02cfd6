/**
 * Whether the cluster is worth asking. Closed while it answers; after failures it is left alone for a
 * time that doubles, or as long as it has asked for, and then probed before requests go there again.
 */

/** Failures one after another until it is left alone. */
const FAILURES = 2;
const FIRST_MS = 1_000;
const MOST_MS = 60_000;
/** `Retry-After` beyond this is not believed. */
const MOST_ASKED_MS = 600_000;

export class Circuit {
  readonly #now: () => number;
  readonly #random: () => number;
  #failures = 0;
  #openUntilMs: number | undefined;

  /** @param random From 0 to 1: clients that failed together come back one by one. */
  constructor(now: () => number, random: () => number) {
    this.#now = now;
    this.#random = random;
  }

  /** `probe`: its time is over, and nobody knows yet whether it answers. */
  get state(): "closed" | "open" | "probe" {
    if (this.#openUntilMs === undefined) return "closed";
    return this.#now() < this.#openUntilMs ? "open" : "probe";
  }

  /** Failures since it last answered. */
  get failures(): number {
    return this.#failures;
  }

  /** Until it is probed. */
  get waitMs(): number {
    return Math.max(0, (this.#openUntilMs ?? 0) - this.#now());
  }

  succeed(): void {
    this.#failures = 0;
    this.#openUntilMs = undefined;
  }

  /** A probe was answered: requests may go there, and the next failure is held against it at once. */
  admit(): void {
    this.#openUntilMs = undefined;
  }

  /** @param askedMs What its `Retry-After` says. */
  fail(askedMs?: number): void {
    this.#failures += 1;
    if (this.#failures < FAILURES && askedMs === undefined) return;
    const doublings = Math.max(0, this.#failures - FAILURES);
    const backoffMs = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(doublings, 20));
    const jitter = 0.75 + 0.5 * this.#random();
    const waitMs = Math.max(backoffMs * jitter, Math.min(askedMs ?? 0, MOST_ASKED_MS));
    this.#openUntilMs = Math.max(this.#openUntilMs ?? 0, this.#now() + waitMs);
  }
}
