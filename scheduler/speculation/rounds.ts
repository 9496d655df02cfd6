/** The rounds of one sequence: the one under way, those whose outcome is not known, and what would follow. */
import { assert } from "../assert.ts";
import type { PlannedRow } from "../work-plan.ts";
import type { DraftRound } from "./round.ts";

export class Rounds {
  #current: DraftRound | undefined;
  /** Verified, and the outcome is not known; more than one after the sequence was taken back. */
  #numUnread = 0;
  #proposed = 0;

  /** From the first row planned to the outcome, or until the sequence is taken back. */
  get current(): DraftRound | undefined {
    return this.#current;
  }

  /**
   * The sequence cannot go on before an outcome: of its round, and of any once it was taken back; or before
   * the host has seen the drafts.
   */
  isPending(isTakenBack: boolean): boolean {
    return (
      this.#current?.isVerifying === true || this.#isUnseen || (isTakenBack && this.#numUnread > 0)
    );
  }

  get #isUnseen(): boolean {
    const round = this.#current;
    return round !== undefined && round.fitting === undefined && round.numDrafted === round.tokens;
  }

  /** Drafts that the host has for what follows the last token that was read. */
  get proposed(): number {
    return this.#proposed;
  }

  begin(round: DraftRound): void {
    assert(this.#current === undefined, "a round begins within another");
    this.#current = round;
  }

  /**
   * The next row: a draft, or all of them to be verified.
   * @param from The token that they follow.
   */
  advance(round: DraftRound, from: number): RoundRow {
    const drafts = { from: from + 1, to: from + 1 + round.tokens };
    if (round.layerPlan !== undefined && round.numDrafted < round.tokens) {
      const first = from + round.numDrafted++;
      return { tokens: { from: first, to: first + 1 }, kind: "draft", drafts };
    }
    round.isVerifying = true;
    this.#numUnread += 1;
    assert(round.fitting !== undefined, "drafts are verified that the host has not seen");
    drafts.to = drafts.from + round.fitting;
    return { tokens: { from, to: drafts.to }, kind: "verify", drafts };
  }

  /** The host has seen the drafts of a round that waits for that, and lets so many pass. */
  fit(drafts: number): void {
    if (this.#isUnseen) this.#current!.fitting = drafts;
  }

  /** Its outcome is known. @returns Whether the sequence was not taken back in between. */
  settle(round: DraftRound): boolean {
    this.#numUnread -= 1;
    if (this.#current !== round) return false;
    this.#current = undefined;
    return true;
  }

  /** The host has read another token, and has so many drafts for what follows. */
  propose(tokens: number): void {
    this.#proposed = tokens;
  }

  /** Its sequence is taken back, or has ended. */
  break(): void {
    this.#current = undefined;
  }

  /** Outcomes that are not known will never be. */
  forgetUnread(): void {
    this.#numUnread = 0;
  }
}

export type RoundRow = Pick<PlannedRow, "tokens" | "kind" | "drafts">;
