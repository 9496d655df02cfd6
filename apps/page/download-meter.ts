/** How fast a model comes and how long it still takes, from the bytes so far. Keeps its own short past. */

/** The rate is that of the latest so many milliseconds. */
const WINDOW_MS = 3000;

export interface DownloadState {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Undefined until there is a time to divide by. */
  readonly bytesPerS?: number;
  readonly leftMs?: number;
}

export class DownloadMeter {
  readonly #past: { readonly atMs: number; readonly loadedBytes: number }[] = [];

  constructor(startMs: number) {
    this.#past.push({ atMs: startMs, loadedBytes: 0 });
  }

  add(loadedBytes: number, totalBytes: number, nowMs: number): DownloadState {
    this.#past.push({ atMs: nowMs, loadedBytes });
    while (this.#past.length > 2 && this.#past[1].atMs <= nowMs - WINDOW_MS) this.#past.shift();
    const [first] = this.#past;
    const spanMs = nowMs - first.atMs;
    if (spanMs <= 0 || loadedBytes <= first.loadedBytes) return { loadedBytes, totalBytes };
    const bytesPerS = (1000 * (loadedBytes - first.loadedBytes)) / spanMs;
    const leftMs = (1000 * (totalBytes - loadedBytes)) / bytesPerS;
    return { loadedBytes, totalBytes, bytesPerS, leftMs };
  }
}
