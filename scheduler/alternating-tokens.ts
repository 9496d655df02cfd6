/**
 * Tokens of one sequence that take turns: behind its prompt, one in every `period` runs what the prompt
 * runs, and the others run less, or may. Owns which do, and where tokens lie in KV groups in which not all
 * of them keep anything.
 */
import { SchedulerError } from "./errors.ts";
import type { KvGroup, LayerPlan } from "./work-plan.ts";

export interface Alternation {
  /** What the others run. What they do not keep leaves no gap: those that do, follow one another. */
  readonly layerPlan: LayerPlan;
  /** At least 2; the first token behind the prompt runs what the prompt does. Infinite: it alone. */
  readonly period: number;
}

export class AlternatingTokens {
  readonly numPromptTokens: number;
  readonly #alternation: Alternation;

  constructor(numPromptTokens: number, alternation: Alternation) {
    this.numPromptTokens = numPromptTokens;
    this.#alternation = alternation;
  }

  /** Of tokens that run less. */
  get layerPlan(): LayerPlan {
    return this.#alternation.layerPlan;
  }

  runsLess(token: number): boolean {
    return token >= this.numPromptTokens && this.#turn(token) !== 0;
  }

  /** The first token behind this one that runs something else. */
  endOfRun(token: number): number {
    const { period } = this.#alternation;
    if (token < this.numPromptTokens) return this.numPromptTokens + 1;
    const turn = this.#turn(token);
    // What leaves off does so token by token.
    return token + (turn === 0 || this.layerPlan.exits ? 1 : period - turn);
  }

  /** Of a token in a group: how many before it keep anything there. */
  place(group: number, token: number): number {
    if (!this.#thins(group) || token <= this.numPromptTokens) return token;
    const { period } = this.#alternation;
    return this.numPromptTokens + Math.ceil((token - this.numPromptTokens) / period);
  }

  /** The last token that does not come behind so many places of a group. */
  lastToken(group: number, places: number): number {
    if (!this.#thins(group) || places <= this.numPromptTokens) return places;
    const { period } = this.#alternation;
    return this.numPromptTokens + (places - this.numPromptTokens) * period;
  }

  #thins(group: number): boolean {
    return !this.layerPlan.keeps[group];
  }

  #turn(token: number): number {
    return (token - this.numPromptTokens) % this.#alternation.period;
  }
}

/**
 * @param id Of the sequence that asks for it.
 * @throws {SchedulerError} "bad_request".
 */
export function checkAlternation(
  id: number,
  { layerPlan, period }: Alternation,
  groups: readonly KvGroup[],
): void {
  if (period !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(period) && period >= 2))
    refuse(`sequence ${id} alternates with period ${period}; it must be a whole number from 2 on`);
  const windowed = groups.findIndex(
    ({ window }, group) => window !== undefined && !layerPlan.keeps[group],
  );
  if (windowed >= 0)
    refuse(
      `sequence ${id} alternates with tokens that keep nothing in KV group ${windowed}, whose window ` +
        "counts tokens: let them keep it, or run the group's layers for all tokens",
    );
}

function refuse(message: string): never {
  throw new SchedulerError("bad_request", message);
}
