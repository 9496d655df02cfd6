/** `<weft-page>`: the whole page. Puts the parts together and opens engines; each part knows its own. */
import { WeftError } from "../../worker.ts";
import { Announcer } from "./announcer.ts";
import { Board } from "./board.ts";
import type { OpenEngine, PageEngine } from "./engine.ts";
import { FiguresView } from "./figures-view.ts";
import { KvMapView } from "./kv-map-view.ts";
import { labPanel } from "./lab-panel.ts";
import { make } from "./make.ts";
import { ModelPicker, type PickedModel } from "./model-picker.ts";
import { Monitor } from "./monitor.ts";
import { count, duration } from "./quantities.ts";
import { RateChart } from "./rate-chart.ts";
import { RateTable } from "./rate-table.ts";
import { StoredModels } from "./stored-models.ts";
import { Tabs } from "./tabs.ts";
import { ThemeSwitch } from "./theme-switch.ts";
import { TimelineView } from "./timeline-view.ts";

export class WeftPage extends HTMLElement {
  /** How engines are opened; set before the page is connected. */
  open!: OpenEngine;
  readonly #announcer = new Announcer();
  readonly board = new Board();
  readonly picker = new ModelPicker();
  readonly stored = new StoredModels();
  readonly #device = make("span", { class: "soft device" });
  readonly #timeline = new TimelineView();
  readonly #monitor: Monitor;
  readonly #liveViews: readonly HTMLElement[];
  #engine: PageEngine | undefined;
  #loading: AbortController | undefined;

  constructor() {
    super();
    const speed = new RateChart();
    speed.options = { of: "tokensPerS", title: "Tokens per second", unit: "tok/s" };
    const batch = new RateChart();
    batch.options = { of: "rows", title: "Batch size", unit: "rows" };
    const [figures, table, map] = [new FiguresView(), new RateTable(), new KvMapView()];
    this.#liveViews = [figures, speed, batch, table, map];
    this.#monitor = new Monitor([figures, speed, batch, table, map, this.#timeline]);
  }

  connectedCallback(): void {
    if (this.childElementCount > 0) return;
    this.board.announcer = this.#announcer;
    this.stored.announcer = this.#announcer;
    const live = make(
      "aside",
      { class: "live", "aria-label": "What the engine does" },
      ...this.#liveViews,
    );
    const talk = make(
      "div",
      { class: "talk" },
      make("div", { class: "columns" }, this.board, live),
      this.#timeline,
    );
    void this.stored.refresh();
    const lab = labPanel();
    const tabs = new Tabs();
    tabs.tabs = [
      { name: "Conversations", panel: talk },
      { name: "Kernel lab", panel: lab.element, onFirst: lab.open },
    ];
    const title = make("h1", {}, "Weft");
    const theme = new ThemeSwitch();
    theme.onChange = lab.matchTheme;
    this.append(
      make("a", { class: "skip", href: "#main" }, "Skip to the conversations"),
      make("header", { class: "top" }, title, tabs, this.#device, theme),
      make(
        "main",
        { id: "main", tabindex: -1 },
        make("div", { class: "strip" }, this.picker, this.stored),
        talk,
        lab.element,
      ),
      this.#announcer.element,
    );
    this.picker.onPick = (picked) => this.load(picked);
    this.picker.onCancel = () => this.#loading?.abort();
    this.#monitor.onFault = (message) => this.picker.fail(message);
    this.#timeline.onSave = () => void this.#saveTrace();
    this.#use(undefined, "");
  }

  disconnectedCallback(): void {
    this.#loading?.abort();
    void this.#engine?.close();
    this.#use(undefined, "");
  }

  /** @returns Whether the engine is there. The one before is closed; its answers are stopped. */
  async load({ key, name, choice }: PickedModel): Promise<boolean> {
    const loading = new AbortController();
    this.#loading?.abort();
    this.#loading = loading;
    const startMs = performance.now();
    this.picker.begin();
    this.#announcer.say(`Loading ${name}`);
    this.board.stopAll();
    const previous = this.#engine;
    this.#use(undefined, "");
    try {
      await previous?.close();
      const engine = await this.open(choice, {
        onProgress: (progress) => this.picker.progress(progress),
        signal: loading.signal,
      });
      const ready = `ready in ${duration(performance.now() - startMs)}`;
      this.#use(engine, key);
      this.picker.ready(ready);
      this.#announcer.say(`${name} is ${ready}`);
      void this.stored.refresh();
      return true;
    } catch (error) {
      const message = loading.signal.aborted ? "cancelled" : reason(error);
      if (this.#loading !== loading) return false;
      this.picker.fail(message);
      this.#announcer.say(`${name}: ${message}`);
      return false;
    }
  }

  #use(engine: PageEngine | undefined, modelKey: string): void {
    this.#engine = engine;
    this.#device.textContent = engine?.info.device.adapter ?? "";
    this.board.use(engine, modelKey);
    this.#monitor.watch(engine);
  }

  /** All that is kept, not only what is drawn. */
  async #saveTrace(): Promise<void> {
    const trace = await this.#engine?.trace();
    if (!trace) return;
    const url = URL.createObjectURL(
      new Blob([JSON.stringify(trace)], { type: "application/json" }),
    );
    make("a", { href: url, download: "weft-trace.json" }).click();
    URL.revokeObjectURL(url);
    this.#announcer.say(`Saved ${count(trace.traceEvents.length, "event")}`);
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return `${error}`;
  const isWithoutGpu = error instanceof WeftError && error.code === "no_adapter";
  return isWithoutGpu ? `${error.message} (above: On CPU)` : error.message;
}

customElements.define("weft-page", WeftPage);
