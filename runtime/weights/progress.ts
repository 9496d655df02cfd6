/** How far bringing bytes has come, how fast, and how long it will take. Owns the smoothing of the rate. */

export interface LoadProgress {
  /** From the server into the store; reading it again to compare hashes; to the device. */
  readonly phase: "download" | "verify" | "load";
  /** Of this phase. Bytes that an earlier download has left count. */
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Name of the source that the last bytes came from. */
  readonly file: string;
  /** Smoothed over some seconds; 0 until a quarter of a second has passed. */
  readonly bytesPerSecond: number;
  /** At this rate; undefined as long as there is none. */
  readonly secondsLeft: number | undefined;
}

export type OnProgress = (progress: LoadProgress) => void;

export interface ProgressMeterOptions {
  readonly phase?: LoadProgress["phase"];
  /** Here before; no part of the rate. */
  readonly loadedBytes?: number;
  /** Least time between two reports, but for the last; 0 when left out: each is told. */
  readonly intervalMs?: number;
  readonly now?: () => number;
}

/** For `intervalMs`: of bytes that come in small pieces. */
export const PROGRESS_MS = 50;

const TICK_MS = 250;
/** A rate that changes has mostly arrived after so long. */
const SMOOTHING_MS = 3000;

/** Adds up what streams have read. */
export class ProgressMeter {
  #loadedBytes: number;
  readonly #totalBytes: number;
  readonly #onProgress: OnProgress | undefined;
  readonly #phase: LoadProgress["phase"];
  readonly #intervalMs: number;
  readonly #now: () => number;
  #toldMs = Number.NEGATIVE_INFINITY;
  #tickMs: number;
  #tickBytes = 0;
  #bytesPerSecond = 0;

  constructor(totalBytes: number, onProgress?: OnProgress, options: ProgressMeterOptions = {}) {
    this.#totalBytes = totalBytes;
    this.#onProgress = onProgress;
    this.#phase = options.phase ?? "load";
    this.#loadedBytes = options.loadedBytes ?? 0;
    this.#intervalMs = options.intervalMs ?? 0;
    this.#now = options.now ?? (() => performance.now());
    this.#tickMs = this.#now();
  }

  /** @param bytes Less than 0 where they have to come again. */
  add(bytes: number, file: string): void {
    const nowMs = this.#now();
    this.#loadedBytes += bytes;
    this.#tickBytes += Math.max(bytes, 0);
    this.#smooth(nowMs);
    const isLast = this.#loadedBytes >= this.#totalBytes;
    if (!isLast && nowMs - this.#toldMs < this.#intervalMs) return;
    this.#toldMs = nowMs;
    const rate = this.#bytesPerSecond;
    this.#onProgress?.({
      phase: this.#phase,
      loadedBytes: this.#loadedBytes,
      totalBytes: this.#totalBytes,
      file,
      bytesPerSecond: rate,
      secondsLeft: rate > 0 ? (this.#totalBytes - this.#loadedBytes) / rate : undefined,
    });
  }

  #smooth(nowMs: number): void {
    const tickMs = nowMs - this.#tickMs;
    if (tickMs < TICK_MS) return;
    const rate = (1000 * this.#tickBytes) / tickMs;
    const weight = this.#bytesPerSecond === 0 ? 1 : 1 - Math.exp(-tickMs / SMOOTHING_MS);
    this.#bytesPerSecond += weight * (rate - this.#bytesPerSecond);
    this.#tickMs = nowMs;
    this.#tickBytes = 0;
  }
}
