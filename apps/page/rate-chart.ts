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

const HEIGHT = 84;
const SPAN_S = 60;
/** Of the upright axis: both figures are counts. */
const INCREMENTS = [1, 2, 4, 10, 20, 40, 100, 200, 400, 1000, 2000, 4000, 10_000];

export class RateChart extends HTMLElement implements LiveView {
  #options: ChartOptions = { of: "tokensPerS", title: "", unit: "" };
  readonly #value = make("output", {}, "–");
  readonly #box = make("div", { class: "plot", role: "img" });
  #plot: uPlot | undefined;
  #samples: readonly RateSample[] = [];
  #colors = "";

  set options(options: ChartOptions) {
    this.#options = options;
  }

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const heading = make("h3", {}, this.#options.title);
    this.append(make("figure", {}, make("figcaption", {}, heading, this.#value), this.#box));
    new ResizeObserver(() => this.#resize()).observe(this.#box);
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
        {
          ...axis,
          size: 34,
          space: 16,
          incrs: INCREMENTS,
          values: (_, ticks) => ticks.map(String),
        },
      ],
      series: [{}, { stroke: accent, width: 1.5, points: { show: false } }],
    };
  }

  #resize(): void {
    const width = this.#box.clientWidth;
    if (this.#plot && width > 0) this.#plot.setSize({ width, height: HEIGHT });
    else this.#draw();
  }
}

const secondsAgo = (s: number): string => (s === 0 ? "now" : `${s} s`.replace("-", "−"));

customElements.define("weft-chart", RateChart);
