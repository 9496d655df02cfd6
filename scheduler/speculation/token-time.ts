/** How long a token takes, from commits of one or more. */
import { Unevenness } from "./unevenness.ts";

/** Chance makes commits differ: 3 drafts of which 80 % are taken need ten times the tokens to be judged. */
const LONGEST_HALF_LIFE_TOKENS = 96;
/** Mean difference of neighbours up to which they are alike. */
const ALIKE = 0.08;

/**
 * An exponentially weighted mean of milliseconds per token, over the longer the more commits differ
 * from one another.
 */
export class TokenTime {
  readonly #leastHalfLifeTokens: number;
  readonly #unevenness = new Unevenness();
  #ms = 0;
  #tokens = 0;
  #commits = 0;
  /** Sum of the squares of what `#tokens` is the sum of. */
  #tokensSquared = 0;

  /** @param leastHalfLifeTokens Of commits that are alike, half of what counts is younger. */
  constructor(leastHalfLifeTokens: number) {
    this.#leastHalfLifeTokens = leastHalfLifeTokens;
  }

  get msPerToken(): number | undefined {
    return this.#tokens === 0 ? undefined : this.#ms / this.#tokens;
  }

  get tokensPerCommit(): number | undefined {
    return this.#tokens === 0 ? undefined : this.#tokens / this.#commits;
  }

  /** Standard error of `msPerToken`, relative to it. */
  get error(): number {
    if (this.#tokens === 0) return 0;
    return (this.#unevenness.deviation * Math.sqrt(this.#tokensSquared)) / this.#tokens;
  }

  /** @param tokens That took so long together, at least 1. */
  add(ms: number, tokens: number): void {
    this.#unevenness.add(ms / tokens);
    const halfLife = Math.min(
      LONGEST_HALF_LIFE_TOKENS,
      this.#leastHalfLifeTokens * Math.max(1, (this.#unevenness.difference / ALIKE) ** 2),
    );
    const kept = 2 ** (-tokens / halfLife);
    this.#ms = kept * this.#ms + ms;
    this.#tokens = kept * this.#tokens + tokens;
    this.#commits = kept * this.#commits + 1;
    this.#tokensSquared = kept ** 2 * this.#tokensSquared + tokens ** 2;
  }

  /** All but how much commits differ. */
  forget(): void {
    this.#ms = 0;
    this.#tokens = 0;
    this.#commits = 0;
    this.#tokensSquared = 0;
    this.#unevenness.break();
  }
}
