/**
 * What was said in a session, turn by turn. Owns what is forgotten when it grows too long: the oldest turns,
 * never the initial prompts.
 */
import type { ChatMessage } from "../../worker.ts";
import { merged } from "./prompt-input.ts";

export class Conversation {
  readonly initial: readonly ChatMessage[];
  #turns: (readonly ChatMessage[])[];

  constructor(initial: readonly ChatMessage[], turns: readonly (readonly ChatMessage[])[] = []) {
    this.initial = initial;
    this.#turns = [...turns];
  }

  get numTurns(): number {
    return this.#turns.length;
  }

  /** All of it, and what comes next. */
  with(next: readonly ChatMessage[]): ChatMessage[] {
    return merged([...this.initial, ...this.#turns.flat(), ...next]);
  }

  add(turn: readonly ChatMessage[]): void {
    this.#turns.push(turn);
  }

  forgetOldest(): void {
    this.#turns.shift();
  }

  copy(): Conversation {
    return new Conversation(this.initial, this.#turns);
  }
}
