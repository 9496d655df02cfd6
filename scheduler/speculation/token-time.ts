/** How long a token takes, from commits of one or more. */

/**
 * Of commits that are alike, half of what counts is younger than this: a speedup that falls from 1.5
 * to 1 shows after 18 tokens.
 */
const LEAST_HALF_LIFE_TOKENS = 6;
/** Chance makes rounds differ: 3 drafts of which 80 % are taken need ten times the tokens to be judged. */
const LONGEST_HALF_LIFE_TOKENS = 96;
/** Mean difference of neighbours up to which they are alike. */
const ALIKE = 0.08;
/** Commits in that mean. */
const NOISE_COMMITS = 16;

/**
 * An exponentially weighted mean of milliseconds per token, over the longer the more commits differ
 * from one another.
 */
export class TokenTime {
  #ms = 0;
  #tokens = 0;
  /** Mean difference of neighbouring commits, relative to the slower one. */
  #noise = 0;
  #commits = 0;
  #lastMsPerToken: number | undefined;

  get msPerToken(): number | undefined {
    return this.#tokens === 0 ? undefined : this.#ms / this.#tokens;
  }

  /** @param tokens That took so long together, at least 1. */
  add(ms: number, tokens: number): void {
    const own = ms / tokens;
    const last = this.#lastMsPerToken ?? own;
    this.#lastMsPerToken = own;
    this.#commits = Math.min(NOISE_COMMITS, this.#commits + 1);
    // Of neighbours and not from the mean, so that a lasting change counts once.
    const difference = own === last ? 0 : Math.abs(own - last) / Math.max(own, last);
    this.#noise += (difference - this.#noise) / this.#commits;
    const halfLife = Math.min(
      LONGEST_HALF_LIFE_TOKENS,
      LEAST_HALF_LIFE_TOKENS * Math.max(1, (this.#noise / ALIKE) ** 2),
    );
    const kept = 2 ** (-tokens / halfLife);
    this.#ms = kept * this.#ms + ms;
    this.#tokens = kept * this.#tokens + tokens;
  }

  /** All but how much commits differ. */
  forget(): void {
    this.#ms = 0;
    this.#tokens = 0;
    this.#lastMsPerToken = undefined;
  }
}
