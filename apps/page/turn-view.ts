/** One turn of a conversation in the list. Touches only what has changed. */
import type { Turn } from "./conversation.ts";
import { make } from "./make.ts";
import { count, duration, figure } from "./quantities.ts";

export class TurnView {
  readonly element = make("li");
  readonly #thinking = make("p", { class: "thinking" });
  readonly #said = make("p", { class: "said" });
  readonly #note = make("p", { class: "note" });

  constructor(list: HTMLElement) {
    this.element.append(this.#thinking, this.#said, this.#note);
    list.append(this.element);
  }

  show(turn: Turn): void {
    this.element.className = `turn ${turn.role} ${turn.state ?? ""}`;
    set(this.#thinking, turn.thinking?.trim() ?? "");
    set(this.#said, turn.text.trim());
    set(this.#note, noteOf(turn));
  }
}

function set(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

function noteOf({ state, figures, problem }: Turn): string {
  if (state === "failed") return problem ?? "failed";
  if (state === "stopped") return "stopped";
  if (state === "waiting") return "waiting for its first token";
  if (!figures) return "";
  const { tokens, firstTokenMs, tokensPerS, reason, layers, lossy } = figures;
  return [
    count(tokens, "token"),
    `first after ${duration(firstTokenMs)}`,
    tokensPerS > 0 ? `${figure(tokensPerS)} tok/s` : "",
    layers === undefined
      ? ""
      : `${layers.toFixed(1)} layers a token, ${lossy ? "lossy" : "lossless"}`,
    reason === "length" ? "cut at its limit" : "",
  ]
    .filter(Boolean)
    .join(" · ");
}
