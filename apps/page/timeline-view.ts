/** `<weft-timeline>`: the latest ten seconds: the GPU's plans, and below them what each client waits for. */
import { clearCanvas, paletteOf } from "./canvas.ts";
import { make } from "./make.ts";
import { type LiveState, type LiveView, WINDOW_MS } from "./monitor.ts";
import { count } from "./quantities.ts";
import type { TracedRequest } from "./timeline.ts";
import { drawTimeline, type TimelineData, timelineAt, timelineHeight } from "./timeline-drawing.ts";

const MOST_LANES = 20;
const COLUMNS = ["request", "of", "priority", "now", "prompt", "answer", "preempted"];

export class TimelineView extends HTMLElement implements LiveView {
  readonly #summary = make("output", {}, "–");
  readonly #canvas = make("canvas", { role: "img", "aria-label": "Timeline" });
  readonly #box = make("div", { class: "timeline" }, this.#canvas);
  readonly #rows = make("tbody");
  readonly #table = make("details", { class: "table" });
  readonly #save = make("button", { type: "button", class: "quiet" }, "Save trace for Perfetto");
  #state: LiveState | undefined;
  #drawn: TimelineData | undefined;
  /** Set by the page: makes a file of the engine's whole trace. */
  onSave: () => void = () => {};

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    const head = make("tr", {}, ...COLUMNS.map((name) => make("th", { scope: "col" }, name)));
    this.#table.append(
      make("summary", {}, "Requests of these ten seconds as a table"),
      make("div", { class: "wide" }, make("table", {}, make("thead", {}, head), this.#rows)),
    );
    const legend = make(
      "ul",
      { class: "legend", "aria-label": "Legend" },
      ...["queued", "prefill", "decode", "preempted"].map((phase) =>
        make("li", { class: `key-${phase}` }, phase),
      ),
    );
    const caption = make(
      "figcaption",
      {},
      make("h3", {}, "Timeline"),
      this.#summary,
      legend,
      this.#save,
    );
    this.append(make("figure", {}, caption, this.#box, this.#table));
    this.#save.addEventListener("click", () => this.onSave());
    // For a pointer; the table below says the same.
    this.#canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
      this.#canvas.title = this.#drawn ? timelineAt(this.#drawn, offsetX, offsetY) : "";
    });
    this.#table.addEventListener("toggle", () => this.#fillTable());
    new ResizeObserver(() => this.show(this.#state)).observe(this.#box);
  }

  show(state: LiveState | undefined): void {
    this.#state = state;
    this.#save.disabled = state === undefined;
    const lanes = state?.lanes.slice(0, MOST_LANES) ?? [];
    const plans = state?.plans ?? [];
    const numTaken = plans.reduce((sum, { preempted }) => sum + preempted, 0);
    const more = (state?.lanes.length ?? 0) - lanes.length;
    const said =
      `${count(plans.length, "plan")} in ten seconds, ${count(numTaken, "preemption")}` +
      (more > 0 ? `, ${count(more, "more lane")} not drawn` : "");
    this.#summary.textContent = state ? said : "–";
    this.#canvas.setAttribute(
      "aria-label",
      `Timeline of ${count(lanes.length, "client")}: ${said}`,
    );
    const width = this.#box.clientWidth;
    if (width === 0) return;
    const height = timelineHeight(lanes.length);
    const context = clearCanvas(this.#canvas, width, height);
    const nowMs = state?.metrics.uptimeMs ?? WINDOW_MS;
    this.#drawn = { width, height, nowMs, plans, lanes };
    drawTimeline(context, paletteOf(this), this.#drawn);
    this.#fillTable();
  }

  #fillTable(): void {
    if (!this.#table.open) return;
    const requests = this.#state?.lanes.flatMap((lane) => lane.requests) ?? [];
    this.#rows.replaceChildren(...requests.sort((a, b) => b.id - a.id).map(row));
  }
}

function row({
  id,
  client,
  priority,
  hasEnded,
  slices,
  promptTokens,
  tokens,
  preemptions,
}: TracedRequest) {
  const state = hasEnded ? "ended" : (slices.at(-1)?.phase ?? "queued");
  const cells = [
    `${id}`,
    client,
    priority,
    state,
    `${promptTokens}`,
    `${tokens}`,
    `${preemptions}`,
  ];
  return make("tr", {}, ...cells.map((text) => make("td", {}, text)));
}

customElements.define("weft-timeline", TimelineView);
