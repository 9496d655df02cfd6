/** What tokens take that are drafted, usually and by the last rounds, and whether that still pays. */
import { type Estimate, RecentRounds } from "./recent-rounds.ts";
import { TokenTime } from "./token-time.ts";

/** Half of what counts as usual is younger than this. */
const USUAL_HALF_LIFE_TOKENS = 96;
/** So many standard errors above what pays, and it does not. */
const SURE_ERRORS = 3;
/** So many below the plain time, and it is faster. More: what stops in time matters most. */
const FASTER_ERRORS = 4.5;
/** Slower than usual by this share of the way to the plain time is not worth a doubt. */
const USUAL_SHARE = 0.25;

/** "doubtful": it pays usually, and by the last rounds it may be no faster than plain steps. */
export type Verdict = "pays" | "doubtful" | "fails";

/**
 * A doubt asks two things of the last 16 to 24 tokens: that chance alone may make them look faster than
 * plain steps, and that they are slower than usual. Where rounds are alike, doubts are rare and a change
 * fails at once. Where chance decides how many tokens a round commits, so few of them tell little, and
 * drafting that pays is doubted too (docs/decisions.md says how often, and what that costs).
 */
export class DraftTime {
  readonly #usual = new TokenTime(USUAL_HALF_LIFE_TOKENS);
  readonly #recent = new RecentRounds();

  /** What it takes usually; undefined until something was added. */
  get msPerToken(): number | undefined {
    return this.#usual.msPerToken;
  }

  add(ms: number, tokens: number): void {
    this.#usual.add(ms, tokens);
    this.#recent.add(ms, tokens);
  }

  /**
   * After something was added.
   *
   * @param plain A token without drafts.
   * @param mostMs A token may take so long and pay.
   */
  judge(plain: Estimate, mostMs: number): Verdict {
    if (this.#usual.msPerToken! > mostMs) return "fails";
    const { last, isLong } = this.#recent;
    if (last === undefined) return "pays";
    const estimates = [this.#recent.token, ...this.#byRounds()];
    const isSlow = ({ ms, error }: Estimate) => ms * (1 - SURE_ERRORS * error) > mostMs;
    const isSlowNow = last.fastestMs > mostMs && isSlow(last.mean);
    if (isSlowNow || estimates.some(isSlow)) return "fails";
    return isLong && estimates.some((each) => this.#isDoubtful(each, plain)) ? "doubtful" : "pays";
  }

  /** What is usual stays. */
  forgetRecent(): void {
    this.#recent.forget();
  }

  forget(): void {
    this.#usual.forget();
    this.#recent.forget();
  }

  /** Chance may decide how many tokens a round commits and not what it takes: then rounds tell sooner. */
  #byRounds(): Estimate[] {
    const { round, token } = this.#recent;
    if (round.error >= token.error) return [];
    const ms = round.ms / this.#usual.tokensPerCommit!;
    return [{ ms, error: Math.hypot(round.error, this.#usual.error) }];
  }

  #isDoubtful({ ms, error }: Estimate, plain: Estimate): boolean {
    const usualMs = this.#usual.msPerToken!;
    const isFaster = ms * (1 + FASTER_ERRORS * Math.hypot(error, plain.error)) <= plain.ms;
    return !isFaster && ms > usualMs + USUAL_SHARE * (plain.ms - usualMs);
  }
}
