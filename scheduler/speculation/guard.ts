/**
 * Whether drafting pays, from the time that tokens take with it and without. Knows no plans and no
 * clock: whoever commits tokens says when, how many, and how they came.
 */
import { assert } from "../assert.ts";
import { DraftTime } from "./draft-time.ts";
import { TokenTime } from "./token-time.ts";

/** Plain time over drafted time, per token: below it, drafting is not worth its trouble. */
const LEAST_SPEEDUP = 1.05;
/** Without drafts, before anything is drafted. */
const LEARNT_TOKENS = 8;
/** Half of what counts as the plain speed is younger than this, if steps are alike. */
const PLAIN_HALF_LIFE_TOKENS = 6;
/** With drafts, before they are judged. */
const PROBE_TOKENS = 32;
/** A probe that has cost so many tokens' time beyond its own has failed. */
const PROBE_LOSS_TOKENS = 3;
/** Without drafts, when the last rounds raise doubts. */
const DOUBT_TOKENS = 4;
/** Without drafts, after a probe that failed; doubled for each further one in a row. */
const FIRST_WAIT_TOKENS = 96;
const LONGEST_WAIT_TOKENS = 2048;
/** With drafts, until the plain speed is measured again: others may have come or gone. */
const REFRESH_TOKENS = 600;

type Phase = "learn" | "probe" | "draft" | "refresh" | "doubt" | "wait";

/**
 * Plain for a few tokens, then a probe. While drafting pays it goes on, with a few plain tokens now and
 * then; once it does not, it stops within 32 tokens, and each probe that fails doubles the wait for the
 * next. A probe costs a few tokens' time at most, so whatever drafts do, little is lost. Where the last
 * rounds cannot say whether drafting pays, it stops for a few tokens only.
 *
 * One for all that shares a speed: an engine, or a sequence alone in it.
 */
export class DraftGuard {
  readonly #plain = new TokenTime(PLAIN_HALF_LIFE_TOKENS);
  readonly #drafted = new DraftTime();
  #phase: Phase = "learn";
  /** Committed in this phase, in its own way. */
  #tokens = 0;
  /** Milliseconds that this phase took beyond what its tokens take plainly. */
  #lossMs = 0;
  #failures = 0;
  /** Committed in drafting phases since the last failure. */
  #draftedTokens = 0;
  /** Of the last commit, if the time since it tells anything. */
  #last: { readonly nowMs: number; readonly drafted: boolean } | undefined;

  /** Whether the next tokens should be drafted. */
  get drafts(): boolean {
    return this.#phase === "probe" || this.#phase === "draft";
  }

  /** Plain time over drafted time, as far as known; undefined until both are. */
  get speedup(): number | undefined {
    const { msPerToken: plainMs } = this.#plain;
    const { msPerToken: draftedMs } = this.#drafted;
    return plainMs === undefined || draftedMs === undefined ? undefined : plainMs / draftedMs;
  }

  /**
   * Tokens were committed, by a plain step or by a round of drafts and its verification. They may
   * trail a change of `drafts`: each counts for the way that it came.
   *
   * @param nowMs On any clock that never goes back.
   * @param tokens At least 1.
   */
  observe(nowMs: number, tokens: number, drafted: boolean): void {
    assert(tokens >= 1, `a commit of ${tokens} tokens`);
    const last = this.#last;
    this.#last = { nowMs, drafted };
    // What passes between two ways is the change itself: steps in flight end, shaders warm up.
    if (last?.drafted !== drafted) return;
    const elapsedMs = nowMs - last.nowMs;
    (drafted ? this.#drafted : this.#plain).add(elapsedMs, tokens);
    if (drafted !== this.drafts) return;
    this.#tokens += tokens;
    if (drafted) this.#draftedTokens += tokens;
    this.#lossMs += elapsedMs - tokens * (this.#plain.msPerToken ?? 0);
    this.#advance();
  }

  /** Nobody computed for a while (preempted, waiting for the host): the time until now tells nothing. */
  pause(): void {
    this.#last = undefined;
  }

  #advance(): void {
    switch (this.#phase) {
      case "learn":
        if (this.#tokens >= LEARNT_TOKENS) this.#probe();
        return;
      case "probe":
        if (this.#lossMs > PROBE_LOSS_TOKENS * (this.#plain.msPerToken ?? 0)) this.#wait();
        else if (this.#tokens >= PROBE_TOKENS) {
          if (this.#drafted.msPerToken! <= this.#mostMs) this.#enter("draft");
          else this.#wait();
        }
        return;
      case "draft":
        // A probe that passed by luck does not make the next one come early.
        if (this.#draftedTokens >= PROBE_TOKENS + FIRST_WAIT_TOKENS) this.#failures = 0;
        this.#judge();
        return;
      case "refresh":
        if (this.#tokens >= LEARNT_TOKENS) this.#enter("draft");
        return;
      case "doubt":
        if (this.#tokens >= DOUBT_TOKENS) this.#enter("draft");
        return;
      case "wait":
        if (this.#tokens >= this.#waitTokens) this.#probe();
    }
  }

  #judge(): void {
    const plain = { ms: this.#plain.msPerToken ?? 0, error: this.#plain.error };
    const verdict = this.#drafted.judge(plain, this.#mostMs);
    if (verdict === "fails") this.#wait();
    else if (verdict === "doubtful") {
      this.#drafted.forgetRecent();
      this.#enter("doubt");
    } else if (this.#tokens >= REFRESH_TOKENS) this.#enter("refresh");
  }

  /** Of a drafted token that pays. */
  get #mostMs(): number {
    return (this.#plain.msPerToken ?? 0) / LEAST_SPEEDUP;
  }

  get #waitTokens(): number {
    return Math.min(LONGEST_WAIT_TOKENS, FIRST_WAIT_TOKENS * 2 ** (this.#failures - 1));
  }

  #probe(): void {
    this.#drafted.forget();
    this.#enter("probe");
  }

  #wait(): void {
    this.#failures += 1;
    this.#draftedTokens = 0;
    this.#enter("wait");
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#tokens = 0;
    this.#lossMs = 0;
  }
}
