/** Keeps the GPU quantum of one engine to what the pages that it works for report, or to its own page. */
import type { StepLoop } from "../step-loop.ts";
import type { FrameMetrics } from "./frame-meter.ts";
import { Pacing } from "./pacing.ts";
import type { PageState } from "./page-state.ts";
import { PageWatcher } from "./page-watcher.ts";

/** What others of the GPU wait for at most while nobody looks at the page. */
const HIDDEN_QUANTUM_MS = 50;

export class EnginePace {
  readonly #loop: StepLoop;
  readonly #pacing: Pacing;
  #watcher: PageWatcher | undefined;
  #numStreams = 0;

  /** @param quantumMs While somebody looks, or where there is no page. */
  constructor(loop: StepLoop, quantumMs = HIDDEN_QUANTUM_MS) {
    this.#loop = loop;
    const hiddenMs = Math.max(quantumMs, HIDDEN_QUANTUM_MS);
    this.#pacing = new Pacing({ visibleMs: quantumMs, hiddenMs });
  }

  /** Of the engine's own page, if this is its thread. */
  get frames(): FrameMetrics | undefined {
    return this.#watcher?.metrics;
  }

  /** @param page Whoever reports. */
  report(page: object, state: PageState): void {
    this.#pacing.report(page, state);
    this.#apply();
  }

  /** That page is gone. */
  leave(page: object): void {
    this.#pacing.leave(page);
    this.#apply();
  }

  /** This thread has the page. */
  watchPage(): void {
    this.#watcher = new PageWatcher((state) => this.report(this, state));
  }

  /** A stream begins or ends. */
  count(change: 1 | -1): void {
    this.#numStreams += change;
    if (this.#watcher) this.#watcher.busy = this.#numStreams > 0;
  }

  stop(): void {
    this.#watcher?.stop();
  }

  #apply(): void {
    this.#loop.setQuantum(this.#pacing.quantumMs);
    if (this.#pacing.isStill) void this.#loop.standStill();
    else this.#loop.goOn();
  }
}
