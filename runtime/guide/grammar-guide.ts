/** A guide that lets an answer say what a grammar allows, token by token. */
import type { TokenConstraint } from "../constraint/constraint.ts";
import type { Guidance, Guide } from "./guide.ts";

export class GrammarGuide implements Guide {
  readonly #constraint: TokenConstraint;
  readonly #mayGive: boolean;

  /**
   * @param mayGive Tokens that must follow need not be sampled; a request that wants logprobs of all
   *   tokens samples them.
   */
  constructor(constraint: TokenConstraint, mayGive: boolean) {
    this.#constraint = constraint;
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
    const { masks, mayEnd, mustEnd } = allowed;
    return { given, pausesIn: 1, mask: masks.at(0), mustEnd, isWhole: mayEnd };
  }

  close(): void {
    this.#constraint.close();
  }
}
