/** How likely a draft token is taken, from rounds seen: a Beta distribution that forgets. */
import { assert } from "../assert.ts";

/** As if so many drafts had been taken and refused before any was seen: four of five, and soon outweighed. */
const PRIOR = { taken: 4, refused: 1 };

/** One for whatever drafts alike. */
export class Acceptance {
  readonly #halfLife: number;
  #taken = 0;
  #refused = 0;

  /** @param halfLife Draft tokens judged until what was seen counts half: text changes. */
  constructor(halfLife: number) {
    this.#halfLife = halfLife;
  }

  /** Counts of the Beta distribution, prior included: never below 1. */
  get taken(): number {
    return PRIOR.taken + this.#taken;
  }

  get refused(): number {
    return PRIOR.refused + this.#refused;
  }

  get mean(): number {
    return this.taken / (this.taken + this.refused);
  }

  /** A round's drafts were verified. Those behind the first that was refused were not judged. */
  observe(drafted: number, accepted: number): void {
    assert(accepted >= 0 && accepted <= drafted, `${accepted} of ${drafted} drafts accepted`);
    const refused = accepted < drafted ? 1 : 0;
    this.forget(accepted + refused);
    this.#taken += accepted;
    this.#refused += refused;
  }

  /** What was seen is older by so many tokens. */
  forget(tokens: number): void {
    const kept = 2 ** (-tokens / this.#halfLife);
    this.#taken *= kept;
    this.#refused *= kept;
  }
}
