/** Counts the frames that a page shows and those it misses, from the times of its animation frames. */
import { type Distribution, distribution } from "../../scheduler/metrics/distribution.ts";
import { Ring } from "../ring.ts";
import type { FrameReport } from "./page-state.ts";

/** Of a page while an engine worked for it. Plain data. */
export interface FrameMetrics {
  readonly count: number;
  readonly dropped: number;
  /** Between frames, in milliseconds. */
  readonly intervalMs: Distribution;
}

const MOST_INTERVALS = 1024;
/** Until the display's own is known. */
const USUAL_PERIOD_MS = 1000 / 60;
/** No display is faster than 240 Hz, and no browser shows fewer frames than 30 a second unless it drops some. */
const PERIODS_MS = [1000 / 240, 1000 / 30] as const;
const ENOUGH = 20;

export class FrameMeter {
  readonly #intervals = new Ring<number>(MOST_INTERVALS);
  #lastMs: number | undefined;
  #periodMs = USUAL_PERIOD_MS;
  #total = { count: 0, dropped: 0 };
  #reported = { count: 0, dropped: 0 };

  /** @param nowMs As `requestAnimationFrame` gives it. */
  frame(nowMs: number): void {
    const intervalMs = nowMs - (this.#lastMs ?? nowMs);
    this.#lastMs = nowMs;
    if (intervalMs <= 0) return;
    this.#intervals.push(intervalMs);
    this.#total.count += 1;
    if (this.#total.count % ENOUGH === 0) this.#learnPeriod();
    this.#total.dropped += Math.max(0, Math.round(intervalMs / this.#periodMs) - 1);
  }

  /** Frames are not asked for in between. */
  pause(): void {
    this.#lastMs = undefined;
  }

  /** @returns Those since the last call. */
  report(): FrameReport {
    const { count, dropped } = this.#total;
    const since = {
      count: count - this.#reported.count,
      dropped: dropped - this.#reported.dropped,
    };
    this.#reported = { count, dropped };
    return since;
  }

  get metrics(): FrameMetrics {
    return { ...this.#total, intervalMs: distribution([...this.#intervals]) };
  }

  /** The shortest intervals are those between two frames that follow one another on the display. */
  #learnPeriod(): void {
    const sorted = [...this.#intervals].sort((a, b) => a - b);
    const short = sorted[Math.floor(sorted.length / 10)];
    const [least, most] = PERIODS_MS;
    this.#periodMs = Math.min(most, Math.max(least, short));
  }
}
