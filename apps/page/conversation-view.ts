/** `<weft-conversation>`: one conversation as a card: messages, what it runs as, and a line to write in. */
import type { Announcer } from "./announcer.ts";
import { ANSWER_FORMS } from "./answer-forms.ts";
import { AnswerOptions } from "./answer-options.ts";
import { Conversation } from "./conversation.ts";
import type { PageEngine } from "./engine.ts";
import { type LayerWay, layerWays } from "./layer-ways.ts";
import { make, options } from "./make.ts";
import { SUGGESTIONS, systemPromptOf } from "./models.ts";
import { TurnView } from "./turn-view.ts";

type Priority = "interactive" | "completion" | "agent" | "background";

const PRIORITIES = ["interactive", "agent", "background"] as const;
const MAX_TOKENS = 256;

export interface ConversationSetting {
  readonly name: string;
  readonly announcer: Announcer;
  onClose(view: ConversationView): void;
}

export class ConversationView extends HTMLElement {
  #setting!: ConversationSetting;
  #conversation!: Conversation;
  #engine: PageEngine | undefined;
  #modelKey = "";
  #ways: readonly LayerWay[] = layerWays("");
  readonly #state = make("span", { class: "state" });
  readonly #priority = make(
    "select",
    { name: "priority" },
    ...options(PRIORITIES.map((name) => [name, name])),
  );
  readonly #layers = make("select", { name: "layers" });
  readonly #quality = make("p", { class: "quality" });
  readonly #answer = new AnswerOptions();
  readonly #close = make("button", { type: "button", class: "quiet close" }, "×");
  readonly #clear = make("button", { type: "button", class: "quiet" }, "Clear");
  readonly #turns = make("ol", { class: "turns" });
  /** A list that scrolls is reached by keys. */
  readonly #log = make("div", { class: "log", role: "region", tabindex: 0 }, this.#turns);
  readonly #text = make("textarea", { rows: 1, placeholder: "Message" });
  readonly #button = make("button", { type: "submit" }, "Send");
  readonly #views: TurnView[] = [];
  #drawAsked = false;

  set setting(setting: ConversationSetting) {
    this.#setting = setting;
    this.#conversation = new Conversation(setting.name, () => this.#drawSoon());
  }

  get conversation(): Conversation {
    return this.#conversation;
  }

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const { name } = this.#setting;
    const title = make("h3", { id: `conversation-${name}` }, name);
    this.#clear.setAttribute("aria-label", `Clear conversation ${name}`);
    this.#close.setAttribute("aria-label", `Close conversation ${name}`);
    this.#log.setAttribute("aria-label", `Messages of ${name}`);
    this.#text.setAttribute("aria-label", `Message to ${name}`);
    this.#quality.id = `quality-${name}`;
    this.#layers.setAttribute("aria-describedby", this.#quality.id);
    this.#answer.name = name;
    this.#answer.onPropose = (question) => this.#propose(question);
    const form = make("form", {}, this.#text, this.#button);
    const settings = make(
      "div",
      { class: "settings" },
      make("label", {}, "Priority ", this.#priority),
      make("label", {}, "Layers ", this.#layers),
    );
    const header = make("header", {}, title, this.#state, this.#clear, this.#close);
    this.append(
      make(
        "section",
        { class: "conversation", "aria-labelledby": title.id },
        ...[header, settings, this.#quality, this.#answer, this.#log, form],
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#conversation.isBusy) this.stop();
      else this.#submit();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#conversation.isBusy) this.#submit();
    });
    this.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#conversation.isBusy) this.stop();
    });
    this.#clear.addEventListener("click", () => {
      this.#conversation.clear();
      this.focus();
    });
    this.#close.addEventListener("click", () => {
      this.stop();
      this.#setting.onClose(this);
    });
    this.#layers.addEventListener("change", () => this.#showQuality());
    this.#draw();
  }

  /** The model's ways to leave layers out replace those of the model before. */
  use(engine: PageEngine | undefined, modelKey: string): void {
    this.#engine = engine;
    this.#modelKey = modelKey;
    const kept = this.#layers.value;
    this.#ways = layerWays(modelKey);
    this.#layers.replaceChildren(...options(this.#ways.map(({ key, name }) => [key, name])));
    if (this.#ways.some(({ key }) => key === kept)) this.#layers.value = kept;
    this.#showQuality();
    this.#draw();
  }

  /** @returns When the answer has ended. Nothing is asked while one is under way, or in a form that is none. */
  async ask(text: string): Promise<void> {
    const engine = this.#engine;
    const wanted = this.#answer.read();
    if (!engine || !wanted || this.#conversation.isBusy) return;
    if (this.#text.value.trim() === text) this.#text.value = "";
    const answer = await this.#conversation.send(engine, text, {
      priority: this.#priority.value as Priority,
      ...{ way: this.#way, maxTokens: MAX_TOKENS, systemPrompt: systemPromptOf(this.#modelKey) },
      answer: wanted,
    });
    const { name, announcer } = this.#setting;
    const said = { finished: "answered", stopped: "stopped", failed: "failed" }[
      answer.state as "finished"
    ];
    announcer.say(`${name} ${said}: ${answer.problem ?? answer.text}`);
  }

  stop(): void {
    this.#conversation.stop();
  }

  override focus(): void {
    this.#text.focus();
  }

  get #way(): LayerWay {
    return this.#ways.find(({ key }) => key === this.#layers.value) ?? this.#ways[0];
  }

  #submit(): void {
    const text = this.#text.value.trim();
    if (text !== "") void this.ask(text);
  }

  /** A message that somebody wrote stays. */
  #propose(question: string): void {
    const isOurs = ANSWER_FORMS.some((form) => form.question === this.#text.value);
    if (this.#text.value.trim() === "" || isOurs) this.#text.value = question;
  }

  #showQuality(): void {
    const { policy, quality } = this.#way;
    this.#quality.textContent = policy ? quality : "";
  }

  /** Once a frame at most, however fast tokens come. */
  #drawSoon(): void {
    if (this.#drawAsked) return;
    this.#drawAsked = true;
    requestAnimationFrame(() => {
      this.#drawAsked = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { turns, isBusy } = this.#conversation;
    const atEnd = this.#log.scrollTop + this.#log.clientHeight >= this.#log.scrollHeight - 24;
    while (this.#views.length > turns.length) this.#views.pop()!.element.remove();
    for (const [i, turn] of turns.entries()) {
      this.#views[i] ??= new TurnView(this.#turns);
      this.#views[i].show(turn);
    }
    if (turns.length === 0) this.#suggest();
    else this.#log.querySelector(".suggestions")?.remove();
    this.#clear.hidden = turns.length === 0;
    this.#state.textContent = isBusy ? (turns.at(-1)?.state ?? "") : "";
    this.#button.textContent = isBusy ? "Stop" : "Send";
    this.#button.disabled = !this.#engine && !isBusy;
    this.classList.toggle("busy", isBusy);
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #suggest(): void {
    const has = this.#log.querySelector(".suggestions");
    if (!this.#engine) has?.remove();
    if (has || !this.#engine) return;
    const items = SUGGESTIONS.map(({ text, with: how, ...options }) => {
      const note = how !== undefined && make("span", { class: "note" }, ` ${how}`);
      const button = make("button", { type: "button", class: "quiet" }, text, note);
      button.addEventListener("click", () => {
        this.focus();
        this.#answer.set(options);
        void this.ask(text);
      });
      return make("li", {}, button);
    });
    this.#log.append(make("ul", { class: "suggestions", "aria-label": "Suggestions" }, ...items));
  }
}

customElements.define("weft-conversation", ConversationView);
