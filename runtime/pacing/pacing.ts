/**
 * The GPU quantum of an engine that serves pages: short while one is looked at, shorter when its frames
 * drop, long when none is. Decides by what pages report; sets nothing itself.
 */
import type { PageState } from "./page-state.ts";

export interface QuantumRange {
  /** While somebody looks. */
  readonly visibleMs: number;
  /** While nobody does. */
  readonly hiddenMs: number;
}

/** Of the frames of a report: what a person notices. */
const DROPPED_SHARE = 0.05;
/** Below, a submission's own cost is a good part of it. */
const LEAST_MS = 2;
const BACK_OFF = 0.5;
const RECOVER = 1.25;

export class Pacing {
  readonly #range: QuantumRange;
  readonly #pages = new Map<object, PageState["visibility"]>();
  #visibleMs: number;

  constructor(range: QuantumRange) {
    this.#range = range;
    this.#visibleMs = range.visibleMs;
  }

  /** Bound on submissions from now on, in predicted GPU milliseconds. */
  get quantumMs(): number {
    const states = [...this.#pages.values()];
    const isWatched = states.length === 0 || states.includes("visible");
    return isWatched ? this.#visibleMs : this.#range.hiddenMs;
  }

  /** There are pages, and all are frozen: nobody reads what would be computed. */
  get isStill(): boolean {
    const states = [...this.#pages.values()];
    return states.length > 0 && states.every((state) => state === "frozen");
  }

  /** @param page Whoever reports; one that never does counts for nothing. */
  report(page: object, { visibility, frames }: PageState): void {
    this.#pages.set(page, visibility);
    if (frames === undefined || frames.count === 0) return;
    const share = frames.dropped / (frames.count + frames.dropped);
    const factor = share > DROPPED_SHARE ? BACK_OFF : RECOVER;
    const { visibleMs } = this.#range;
    // An unbounded quantum is asked for by name: it is never cut.
    if (visibleMs === Number.POSITIVE_INFINITY) return;
    const least = Math.min(LEAST_MS, visibleMs);
    this.#visibleMs = Math.max(least, Math.min(visibleMs, factor * this.#visibleMs));
  }

  leave(page: object): void {
    this.#pages.delete(page);
  }
}
