/** One turn of a conversation in the list. Touches only what has changed. */
import { make, setText } from "./make.ts";
import { count, duration, figure } from "./quantities.ts";
import { ThinkingView } from "./thinking-view.ts";
import type { CalledTool, Turn } from "./turn.ts";

export class TurnView {
  readonly element = make("li");
  readonly #thinking = new ThinkingView();
  readonly #said = make("p", { class: "said" });
  readonly #calls = make("ul", { class: "calls" });
  readonly #note = make("p", { class: "note" });

  constructor(list: HTMLElement) {
    this.element.append(this.#thinking.element, this.#said, this.#calls, this.#note);
    list.append(this.element);
  }

  show(turn: Turn): void {
    this.element.className = `turn ${turn.role} ${turn.state ?? ""}`;
    this.#thinking.show(turn);
    setText(this.#said, turn.text.trim());
    setText(this.#note, noteOf(turn));
    this.#showCalls(turn.calls);
  }

  #showCalls(calls: readonly CalledTool[]): void {
    for (const [i, call] of calls.entries()) {
      const item = this.#calls.children[i] ?? this.#calls.appendChild(make("li"));
      setText(item as HTMLElement, textOf(call));
    }
    this.#calls.hidden = calls.length === 0;
  }
}

const textOf = ({ name, arguments: given, result, later }: CalledTool): string =>
  [`${name} ${given}`, result, later].filter((part) => part !== undefined).join(" → ");

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
