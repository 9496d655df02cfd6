/** `<weft-chart>`: one figure of the latest minute as a line, with its value in words beside it. */
import uPlot from "uplot";
import { paletteOf } from "./canvas.ts";
import { make } from "./make.ts";
import type { LiveState, LiveView } from "./monitor.ts";
import { figure } from "./quantities.ts";
import type { RateSample } from "./rates.ts";

export interface ChartOptions {
  readonly of: "tokensPerS" | "rows";
  readonly title: string;
  readonly unit: string;
}

const HEIGHT = 112;
const SPAN_S = 60;

export class RateChart extends HTMLElement implements LiveView {
  #options: ChartOptions = { of: "tokensPerS", title: "", unit: "" };
  readonly #value = make("output", {}, "–");
  readonly #box = make("div", { class: "plot", role: "img" });
  readonly #rows = make("tbody");
  readonly #table = make("details", { class: "table" });
  #plot: uPlot | undefined;
  #samples: readonly RateSample[] = [];
  #colors = "";

  set options(options: ChartOptions) {
    this.#options = options;
  }

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const { title, unit } = this.#options;
    const heading = make("h3", {}, title);
    const head = make(
      "tr",
      {},
      make("th", { scope: "col" }, "seconds ago"),
      make("th", { scope: "col" }, unit),
    );
    this.#table.append(
      make("summary", {}, `${title} as a table`),
      make("table", {}, make("thead", {}, head), this.#rows),
    );
    this.append(
      make("figure", {}, make("figcaption", {}, heading, this.#value), this.#box, this.#table),
    );
    new ResizeObserver(() => this.#resize()).observe(this.#box);
    this.#table.addEventListener("toggle", () => this.#fillTable());
    this.show(undefined);
  }

  show(state: LiveState | undefined): void {
    this.#samples = state?.rates.samples ?? [];
    const { of, unit, title } = this.#options;
    const now = state?.rates.latest?.[of] ?? 0;
    const peak = state?.rates.peak(of) ?? 0;
    this.#value.textContent = state ? `${figure(now)} ${unit}, at most ${figure(peak)}` : "–";
    this.#box.setAttribute(
      "aria-label",
      `${title} over the latest minute: now ${figure(now)}, at most ${figure(peak)} ${unit}`,
    );
    this.#draw();
    this.#fillTable();
  }

  #draw(): void {
    const colors = JSON.stringify(paletteOf(this));
    if (colors !== this.#colors) {
      // uPlot takes its colours once.
      this.#plot?.destroy();
      this.#plot = undefined;
      this.#colors = colors;
    }
    const width = this.#box.clientWidth;
    if (width === 0) return;
    this.#plot ??= new uPlot(this.#look(width), [[], []], this.#box);
    const end = this.#samples.at(-1)?.atS ?? 0;
    this.#plot.setData([
      this.#samples.map(({ atS }) => atS - end),
      this.#samples.map((sample) => sample[this.#options.of]),
    ]);
  }

  #look(width: number): uPlot.Options {
    const { line, soft, accent } = paletteOf(this);
    const axis = {
      ...{ stroke: soft, font: "11px system-ui, sans-serif", gap: 3 },
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
    };
    return {
      ...{ width, height: HEIGHT, legend: { show: false }, padding: [8, 16, 0, 0] },
      cursor: { y: false, points: { size: 5 }, drag: { x: false }, sync: { key: "weft" } },
      scales: {
        x: { time: false, range: [-SPAN_S, 0] },
        y: { range: (_, __, most) => [0, Math.max(1, 1.1 * (most ?? 0))] },
      },
      axes: [
        { ...axis, size: 24, gap: 7, space: 60, values: (_, ticks) => ticks.map(secondsAgo) },
        { ...axis, size: 38, space: 28, values: (_, ticks) => ticks.map(figure) },
      ],
      series: [{}, { stroke: accent, width: 1.5, points: { show: false } }],
    };
  }

  #resize(): void {
    const width = this.#box.clientWidth;
    if (this.#plot && width > 0) this.#plot.setSize({ width, height: HEIGHT });
    else this.#draw();
  }

  /** Only for whoever looks at it. */
  #fillTable(): void {
    if (!this.#table.open) return;
    const { of } = this.#options;
    const end = this.#samples.at(-1)?.atS ?? 0;
    const latest = this.#samples.slice(-20).reverse();
    this.#rows.replaceChildren(
      ...latest.map((sample) =>
        make(
          "tr",
          {},
          make("td", {}, (end - sample.atS).toFixed(1)),
          make("td", {}, figure(sample[of])),
        ),
      ),
    );
  }
}

const secondsAgo = (s: number): string => (s === 0 ? "now" : `${s} s`.replace("-", "−"));

customElements.define("weft-chart", RateChart);
