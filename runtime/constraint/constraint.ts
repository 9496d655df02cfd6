/**
 * What an answer may say next, as data: the contract between a step loop and whatever knows a grammar.
 * Knows neither grammars nor how masks are made.
 */
import type { StructuralConstraint } from "./structural-tag.ts";

/** What may be said next, by one answer; asked in order. Plain data in and out, works are done in a worker. */
export interface TokenConstraint {
  /**
   * Takes the tokens said since the last call, and says what may follow.
   * @param remaining Tokens that may still be said, an end token not counted. Near it, only tokens are
   *   admitted after which the answer can still be completed, where it could be at the first call.
   * @param drafts Guesses that would follow `tokens`; not taken: one more mask for each that fits, in order, up to
   *   the first behind which nothing is left to choose.
   * @throws {WeftError} `bad_request` for a token that the last mask did not allow; `worker_failed`.
   */
  advance(
    tokens: readonly number[],
    remaining: number,
    drafts?: readonly number[],
  ): Promise<Allowed>;
  close(): void;
}

export interface Allowed {
  /**
   * [1 + drafts that fit] bit masks of ceil(V / 32) words; bit i % 32 of word i >> 5: token i may be next.
   * End tokens are set where the text may end. undefined: everything may.
   */
  readonly masks: readonly (Uint32Array | undefined)[];
  /** Tokens that must come next whatever the model thinks (jump-forward); end tokens are not among them. */
  readonly forced: readonly number[];
  /** The text may end here. */
  readonly mayEnd: boolean;
  /** Nothing but an end may follow. */
  readonly mustEnd: boolean;
}

export type ConstraintSpec =
  | { readonly type: "json_object" }
  | { readonly type: "json_schema"; readonly schema: object | boolean }
  /** The whole text matches it. */
  | { readonly type: "regex"; readonly pattern: string }
  | { readonly type: "choice"; readonly choices: readonly string[] }
  /** EBNF as xgrammar and llama.cpp (GBNF) read it; the text is a `root`. */
  | { readonly type: "grammar"; readonly grammar: string }
  | StructuralConstraint;
