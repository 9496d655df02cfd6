/** `<weft-tabs>`: a tab list in the manner of the ARIA practices: arrows move, the panel is below. */
import { make } from "./make.ts";

export interface Tab {
  readonly name: string;
  readonly panel: HTMLElement;
  /** Before it is seen for the first time. */
  readonly onFirst?: () => void;
}

export class Tabs extends HTMLElement {
  #tabs: readonly Tab[] = [];
  #buttons: readonly HTMLButtonElement[] = [];
  readonly #seen = new Set<Tab>();

  set tabs(tabs: readonly Tab[]) {
    this.#tabs = tabs;
    this.#buttons = tabs.map(({ name, panel }, i) => {
      panel.id ||= `panel-${i}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", `tab-${i}`);
      return make(
        "button",
        { type: "button", role: "tab", id: `tab-${i}`, "aria-controls": panel.id },
        name,
      );
    });
  }

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const list = make("div", { role: "tablist", "aria-label": "Views" }, ...this.#buttons);
    for (const [i, button] of this.#buttons.entries()) {
      button.addEventListener("click", () => this.select(i));
      button.addEventListener("keydown", (event) => this.#move(event, i));
    }
    this.append(list);
    this.select(0);
  }

  select(index: number): void {
    for (const [i, { panel }] of this.#tabs.entries()) {
      panel.hidden = i !== index;
      this.#buttons[i].setAttribute("aria-selected", `${i === index}`);
      this.#buttons[i].tabIndex = i === index ? 0 : -1;
    }
    const tab = this.#tabs[index];
    if (this.#seen.has(tab)) return;
    this.#seen.add(tab);
    tab.onFirst?.();
  }

  #move(event: KeyboardEvent, from: number): void {
    const last = this.#tabs.length - 1;
    const to = {
      ArrowRight: from === last ? 0 : from + 1,
      ArrowLeft: from === 0 ? last : from - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(to);
    this.#buttons[to].focus();
  }
}

customElements.define("weft-tabs", Tabs);
