/** What the server itself has seen: requests by route and status, and times as its readers wait for them. */
import { type Exposition, Histogram } from "./exposition.ts";

/** Seconds. */
const REQUEST_BOUNDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const FIRST_BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];
const GAP_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

export class ServerCounters {
  readonly #requests = new Map<string, number>();
  readonly #errors = new Map<string, number>();
  readonly #aborts = new Map<string, number>();
  readonly #seconds = new Map<string, Histogram>();
  readonly #first = new Histogram(FIRST_BOUNDS);
  readonly #gap = new Histogram(GAP_BOUNDS);

  /** @param route One of those that there are, or `other`: callers do not name series. */
  request(route: string, status: number): void {
    count(this.#requests, `${route} ${status}`);
  }

  /** @param seconds From its coming to the end of its answer. */
  done(route: string, seconds: number): void {
    const known = this.#seconds.get(route) ?? new Histogram(REQUEST_BOUNDS);
    this.#seconds.set(route, known);
    known.observe(seconds);
  }

  error(code: string): void {
    count(this.#errors, code);
  }

  abort(code: string): void {
    count(this.#aborts, code);
  }

  /** @returns Call it at each chunk of a stream that came `startMs` on the clock of `performance.now()`. */
  chunks(startMs: number): () => void {
    let lastMs: number | undefined;
    return () => {
      const nowMs = performance.now();
      const [histogram, sinceMs] =
        lastMs === undefined ? [this.#first, startMs] : [this.#gap, lastMs];
      histogram.observe((nowMs - sinceMs) / 1000);
      lastMs = nowMs;
    };
  }

  write(to: Exposition): void {
    to.family(
      "counter",
      "weft_http_requests_total",
      "Requests that were answered, by route and status.",
      [...this.#requests].map(([key, value]) => {
        const [route, status] = key.split(/ (?=\d+$)/);
        return [{ route, status }, value] as const;
      }),
    );
    to.family(
      "counter",
      "weft_http_errors_total",
      "Errors that callers were told, by code.",
      [...this.#errors].map(([code, value]) => [{ code }, value] as const),
    );
    to.family(
      "counter",
      "weft_http_aborts_total",
      "Answers that were ended early: by the caller, a time limit or the end of the server.",
      [...this.#aborts].map(([code, value]) => [{ code }, value] as const),
    );
    to.histogram(
      "weft_http_request_seconds",
      "From a request to the end of its answer, by route.",
      [...this.#seconds].map(([route, histogram]) => [{ route }, histogram] as const),
    );
    to.histogram(
      "weft_http_first_chunk_seconds",
      "From a request to the first chunk of its stream.",
      [[{}, this.#first]],
    );
    to.histogram("weft_http_chunk_gap_seconds", "Between two chunks of a stream.", [
      [{}, this.#gap],
    ]);
  }
}

const count = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};
