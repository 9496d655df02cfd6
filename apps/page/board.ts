/** `<weft-board>`: the conversations side by side, and the load behind them. */
import type { Announcer } from "./announcer.ts";
import { BackgroundLoad } from "./background-load.ts";
import { ConversationView } from "./conversation-view.ts";
import type { PageEngine } from "./engine.ts";
import { nextName } from "./labels.ts";
import { make, options } from "./make.ts";
import { systemPromptOf } from "./models.ts";
import { count } from "./quantities.ts";

const LOADS = [0, 1, 4, 8, 16];
const AT_FIRST = 2;

export class Board extends HTMLElement {
  announcer!: Announcer;
  readonly #cards = make("div", { class: "cards" });
  readonly #new = make("button", { type: "button" }, "New conversation");
  readonly #stop = make("button", { type: "button" }, "Stop all");
  readonly #load = make(
    "select",
    { name: "load" },
    ...options(LOADS.map((n) => [`${n}`, n === 0 ? "none" : `${n} at once`])),
  );
  readonly #loadState = make("span", { class: "soft" });
  readonly #background = new BackgroundLoad(() => this.#showLoad());
  #engine: PageEngine | undefined;
  #modelKey = "";

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const load = make("label", {}, "Background stories ", this.#load);
    const bar = make(
      "div",
      { class: "bar" },
      make("h2", {}, "Conversations"),
      this.#new,
      this.#stop,
      load,
      this.#loadState,
    );
    this.append(bar, this.#cards);
    this.#new.addEventListener("click", () => this.add().focus());
    this.#stop.addEventListener("click", () => this.stopAll());
    this.#load.addEventListener("change", () => this.#applyLoad());
    for (let i = 0; i < AT_FIRST; i++) this.add();
  }

  get conversations(): ConversationView[] {
    return [...this.#cards.children] as ConversationView[];
  }

  use(engine: PageEngine | undefined, modelKey: string): void {
    this.#engine = engine;
    this.#modelKey = modelKey;
    for (const view of this.conversations) view.use(engine, modelKey);
    this.#load.disabled = engine === undefined;
    this.#applyLoad();
  }

  add(): ConversationView {
    const taken = new Set(this.conversations.map(({ conversation }) => conversation.name));
    const view = new ConversationView();
    view.setting = {
      name: nextName(taken),
      announcer: this.announcer,
      onClose: (closed) => this.#close(closed),
    };
    this.#cards.append(view);
    view.use(this.#engine, this.#modelKey);
    return view;
  }

  setLoad(wanted: number): void {
    this.#load.value = `${wanted}`;
    this.#applyLoad();
  }

  stopAll(): void {
    for (const view of this.conversations) view.stop();
    this.setLoad(0);
  }

  /** The keyboard goes on at the neighbour. */
  #close(view: ConversationView): void {
    const near = view.nextElementSibling ?? view.previousElementSibling;
    view.remove();
    if (near) (near as ConversationView).focus();
    else this.#new.focus();
  }

  #applyLoad(): void {
    this.#background.set(this.#engine, Number(this.#load.value), systemPromptOf(this.#modelKey));
  }

  #showLoad(): void {
    const { numRunning, numFinished, problem } = this.#background;
    this.#loadState.textContent =
      problem ??
      (numRunning + numFinished === 0 ? "" : `${count(numFinished, "story", "stories")} told`);
    if (problem) this.#load.value = "0";
  }
}

customElements.define("weft-board", Board);
