/** `<weft-rate-table>`: the charts' figures in words, for whoever opens it. */
import { make } from "./make.ts";
import type { LiveState, LiveView } from "./monitor.ts";
import { figure } from "./quantities.ts";

const ROWS = 20;
const COLUMNS = ["seconds ago", "tok/s", "rows"];

export class RateTable extends HTMLElement implements LiveView {
  readonly #rows = make("tbody");
  readonly #details = make("details", { class: "table" });
  #state: LiveState | undefined;

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const head = make("tr", {}, ...COLUMNS.map((name) => make("th", { scope: "col" }, name)));
    this.#details.append(
      make("summary", {}, "Both as a table"),
      make("table", {}, make("thead", {}, head), this.#rows),
    );
    this.append(this.#details);
    this.#details.addEventListener("toggle", () => this.show(this.#state));
  }

  show(state: LiveState | undefined): void {
    this.#state = state;
    if (!this.#details.open) return;
    const samples = state?.rates.samples ?? [];
    const end = samples.at(-1)?.atS ?? 0;
    const latest = samples.slice(-ROWS).reverse();
    this.#rows.replaceChildren(
      ...latest.map(({ atS, tokensPerS, rows }) => {
        const cells = [(end - atS).toFixed(1), figure(tokensPerS), figure(rows)];
        return make("tr", {}, ...cells.map((text) => make("td", {}, text)));
      }),
    );
  }
}

customElements.define("weft-rate-table", RateTable);
