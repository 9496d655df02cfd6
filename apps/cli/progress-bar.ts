/** One line on a terminal's stderr that says how far loading has come. Silent where there is none. */
import type { LoadProgress } from "../../node.ts";
import type { Terminal } from "./command.ts";

const BAR_CELLS = 24;
const REDRAW_MS = 100;

const PHASES = { download: "downloading", verify: "checking", load: "loading" };

export class ProgressBar {
  readonly #stderr: Terminal["stderr"];
  #drawnMs = Number.NEGATIVE_INFINITY;

  constructor({ stderr }: Terminal) {
    this.#stderr = stderr;
  }

  /** For `onProgress`. */
  readonly bytes = (progress: LoadProgress): void => {
    const { phase, loadedBytes, totalBytes, bytesPerSecond, secondsLeft } = progress;
    const done = loadedBytes >= totalBytes;
    if (!this.#due(done)) return;
    const share = totalBytes === 0 ? 1 : loadedBytes / totalBytes;
    const rate = bytesPerSecond === 0 ? "" : `, ${formatBytes(bytesPerSecond)}/s`;
    const left = secondsLeft === undefined || done ? "" : `, ${formatSeconds(secondsLeft)} left`;
    this.#draw(
      `${bar(share)} ${PHASES[phase]} ${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}${rate}${left}`,
    );
    if (done && phase === "load") this.#draw("compiling kernels …");
  };

  count(what: string, done: number, total: number): void {
    if (this.#due(done === total)) this.#draw(`${bar(done / total)} ${what} ${done} of ${total}`);
  }

  /** Leaves an empty line for what follows. */
  clear(): void {
    if (this.#stderr.isTTY) this.#stderr.write("\r\x1b[K");
  }

  #due(last: boolean): boolean {
    if (!this.#stderr.isTTY) return false;
    const nowMs = performance.now();
    if (!last && nowMs - this.#drawnMs < REDRAW_MS) return false;
    this.#drawnMs = nowMs;
    return true;
  }

  #draw(line: string): void {
    // Some pseudo terminals have 0 columns.
    const columns = this.#stderr.columns || 80;
    this.#stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
  }
}

function bar(share: number): string {
  const full = Math.floor(share * BAR_CELLS);
  const percent = `${Math.floor(100 * share)}`.padStart(3);
  return `${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)} ${percent} %`;
}

/** In powers of 1,000, as `--memory-budget` reads them. */
export function formatBytes(count: number): string {
  for (const [unit, size] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ] as const) {
    if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  }
  return `${Math.round(count)} B`;
}

export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
