/** What a model thought before it answered: seen while it thinks, then folded unless it is short. */
import { make, setText } from "./make.ts";
import { count } from "./quantities.ts";
import type { Turn } from "./turn.ts";

/** As many characters as do no harm beside an answer. */
const SHORT = 160;

export class ThinkingView {
  readonly #summary = make("summary");
  readonly #text = make("p");
  readonly element = make("details", { class: "thinking" }, this.#summary, this.#text);
  /** The reader has folded or unfolded it. */
  #isHeld = false;

  constructor() {
    this.#summary.addEventListener("click", () => {
      this.#isHeld = true;
    });
  }

  show({ thinking = "", text, calls, figures }: Turn): void {
    const thought = thinking.trim();
    this.element.hidden = thought === "";
    setText(this.#text, thought);
    const tokens = figures?.thinkingTokens;
    setText(this.#summary, tokens ? `Thinking, ${count(tokens, "token")}` : "Thinking");
    const isAnswering = text.trim() !== "" || calls.length > 0;
    if (!this.#isHeld) this.element.open = !isAnswering || thought.length <= SHORT;
  }
}
