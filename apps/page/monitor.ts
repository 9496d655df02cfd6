/**
 * Asks the engine what it does, twice a second, and hands it to the views. Asks nothing of a hidden
 * page, and never twice at a time.
 */
import type { EngineMetrics, KvMap, Trace } from "../../worker.ts";
import type { PageEngine } from "./engine.ts";
import { shownName } from "./labels.ts";
import { Rates } from "./rates.ts";
import { type Lane, lanesOf, type PlanSlice, planSlices } from "./timeline.ts";

export interface LiveState {
  readonly metrics: EngineMetrics;
  readonly map: KvMap;
  readonly rates: Rates;
  readonly plans: readonly PlanSlice[];
  readonly lanes: readonly Lane[];
  /** By the request's number. */
  readonly clients: ReadonlyMap<number, string>;
}

export interface LiveView {
  /** Undefined when no engine is there. */
  show(state: LiveState | undefined): void;
}

const EVERY_MS = 500;
export const WINDOW_MS = 10_000;

export class Monitor {
  /** The engine does not answer any more, and why; it is not asked again. */
  onFault: (message: string) => void = () => {};
  readonly #views: readonly LiveView[];
  #engine: PageEngine | undefined;
  #rates = new Rates();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(views: readonly LiveView[]) {
    this.#views = views;
  }

  watch(engine: PageEngine | undefined): void {
    clearTimeout(this.#timer);
    this.#engine = engine;
    this.#rates = new Rates();
    if (engine) void this.#run(engine);
    else for (const view of this.#views) view.show(undefined);
  }

  async #run(engine: PageEngine): Promise<void> {
    try {
      if (!document.hidden) await this.#look(engine);
    } catch (error) {
      if (engine === this.#engine)
        this.onFault(error instanceof Error ? error.message : `${error}`);
      return;
    }
    if (engine !== this.#engine) return;
    this.#timer = setTimeout(() => void this.#run(engine), EVERY_MS);
  }

  async #look(engine: PageEngine): Promise<void> {
    const metrics = await engine.metrics();
    const sinceMs = metrics.uptimeMs - WINDOW_MS;
    const [map, trace] = await Promise.all([engine.kvMap(), engine.trace({ sinceMs })]);
    if (engine !== this.#engine) return;
    this.#rates.add(metrics, trace);
    const lanes = lanesOf(trace);
    const state = { metrics, map, rates: this.#rates, plans: planSlices(trace), lanes };
    const clients = clientsOf(trace);
    for (const view of this.#views) view.show({ ...state, clients });
  }
}

function clientsOf({ traceEvents }: Trace): Map<number, string> {
  const clients = new Map<number, string>();
  for (const event of traceEvents)
    if (event.ph === "M" && "client" in event.args && event.args.client)
      clients.set(event.tid, shownName(event.args.client));
  return clients;
}
