/** The last rounds of drafts, and how far they tell what a token takes now. */
import { Unevenness } from "./unevenness.ts";

/** Two rounds of 9 tokens: a change in the middle of one has been replaced by two more within 32 tokens. */
const MOST_TOKENS = 24;
/** Fewer are too few to be doubted. */
const LEAST_TOKENS = 16;
/** The fewest that tell anything: two rounds, or one that many sequences share. */
const LAST_TOKENS = 10;

interface Round {
  readonly ms: number;
  readonly tokens: number;
}

/** What something takes, and its standard error, relative to it. */
export interface Estimate {
  readonly ms: number;
  readonly error: number;
}

export class RecentRounds {
  readonly #rounds: Round[] = [];
  readonly #unevenTokens = new Unevenness();
  readonly #unevenRounds = new Unevenness();
  #ms = 0;
  #tokens = 0;

  get isLong(): boolean {
    return this.#rounds.length >= 2 && this.#tokens >= LEAST_TOKENS;
  }

  /** Of a token, by the last few; and by the fastest of these, so that a hiccup is not taken for a change. */
  get last(): { readonly mean: Estimate; readonly fastestMs: number } | undefined {
    return this.#lastToken(LAST_TOKENS);
  }

  /** Of a token, by all; at least one round. */
  get token(): Estimate {
    return this.#lastToken(this.#tokens)!.mean;
  }

  /** Of a round, however many tokens it commits; at least one round. */
  get round(): Estimate {
    const { length } = this.#rounds;
    return { ms: this.#ms / length, error: this.#unevenRounds.deviation / Math.sqrt(length) };
  }

  add(ms: number, tokens: number): void {
    this.#unevenTokens.add(ms / tokens);
    this.#unevenRounds.add(ms);
    this.#rounds.push({ ms, tokens });
    this.#ms += ms;
    this.#tokens += tokens;
    while (this.#tokens > MOST_TOKENS && this.#rounds.length > 2) {
      const oldest = this.#rounds.shift()!;
      this.#ms -= oldest.ms;
      this.#tokens -= oldest.tokens;
    }
  }

  /** All but how much rounds differ. */
  forget(): void {
    this.#rounds.length = 0;
    this.#ms = 0;
    this.#tokens = 0;
    this.#unevenTokens.break();
    this.#unevenRounds.break();
  }

  /** By the fewest rounds that have so many tokens. */
  #lastToken(numTokens: number) {
    let ms = 0;
    let tokens = 0;
    let fastestMs = Number.POSITIVE_INFINITY;
    for (let n = 1; n <= this.#rounds.length; n++) {
      const round = this.#rounds.at(-n)!;
      ms += round.ms;
      tokens += round.tokens;
      fastestMs = Math.min(fastestMs, round.ms / round.tokens);
      if (tokens < numTokens) continue;
      const error = this.#unevenTokens.deviation / Math.sqrt(n);
      return { mean: { ms: ms / tokens, error }, fastestMs };
    }
    return undefined;
  }
}
