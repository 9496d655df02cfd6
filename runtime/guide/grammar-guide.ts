/** A guide that lets an answer say what a grammar allows, token by token. */
import type { TokenConstraint } from "../constraint/constraint.ts";
import type { Guidance, Guide, Mask } from "./guide.ts";

/** @returns What is wrong; undefined for nothing. */
type Judge = (tokenIds: readonly number[]) => Promise<string | undefined>;

export class GrammarGuide implements Guide {
  readonly #constraint: TokenConstraint;
  readonly #mayGive: boolean;
  readonly #judge: Judge | undefined;
  readonly #said: number[] = [];

  /**
   * @param judge Of the whole answer, once it has ended.
   * @param mayGive Tokens that must follow need not be sampled; a request that wants logprobs of all
   *   tokens samples them.
   */
  constructor(constraint: TokenConstraint, mayGive: boolean, judge?: Judge) {
    this.#constraint = constraint;
    this.#judge = judge;
    this.#mayGive = mayGive;
  }

  async next(tokenIds: readonly number[], remaining: number): Promise<Guidance> {
    const given: number[] = [];
    let allowed = await this.#constraint.advance(tokenIds, remaining);
    while (this.#mayGive && allowed.forced.length > 0 && given.length < remaining) {
      const more = allowed.forced.slice(0, remaining - given.length);
      given.push(...more);
      allowed = await this.#constraint.advance(more, remaining - given.length);
    }
    this.#said.push(...tokenIds, ...given);
    const { masks, mayEnd, mustEnd } = allowed;
    return { given, pausesIn: 1, mask: masks.at(0), mayDraft: true, mustEnd, isWhole: mayEnd };
  }

  async fitting(drafts: readonly number[], remaining: number): Promise<readonly Mask[]> {
    return (await this.#constraint.advance([], remaining, drafts)).masks.slice(1);
  }

  async verify(): Promise<string | undefined> {
    return this.#judge?.(this.#said);
  }

  close(): void {
    this.#constraint.close();
  }
}
