/** An engine's metrics for whoever asks often: read anew once a second at most, as each reading costs milliseconds. */
import type { EngineApi, EngineMetrics } from "../../worker.ts";

const MAX_AGE_MS = 1000;
/** Who is refused comes back within a minute: what is predicted further ahead is rarely so. */
const MAX_WAIT_S = 60;

export class EngineFigures {
  readonly #engine: Pick<EngineApi, "metrics" | "info">;
  #reading: Promise<EngineMetrics> | undefined;
  #readMs = 0;
  #latest: EngineMetrics | undefined;

  constructor(engine: Pick<EngineApi, "metrics" | "info">) {
    this.#engine = engine;
  }

  /** Of the model that answers who names none. */
  get model(): string {
    return this.#engine.info.model.id;
  }

  /** @throws {WeftError} of an engine that answers nothing any more. */
  read(): Promise<EngineMetrics> {
    const nowMs = performance.now();
    if (this.#reading === undefined || nowMs - this.#readMs > MAX_AGE_MS) {
      this.#readMs = nowMs;
      this.#reading = this.#engine.metrics();
      this.#reading.then(
        (metrics) => {
          this.#latest = metrics;
        },
        () => {},
      );
    }
    return this.#reading;
  }

  /**
   * Seconds until who comes now would begin, from what the latest requests took: those before it, over the rows
   * that serve them; of several models, the busiest's. Spread over half as much again, so that not all who are refused come back at once.
   */
  get waitS(): number {
    void this.read().catch(() => {});
    if (this.#latest === undefined) return 1;
    const { models } = this.#latest;
    const loaded = models
      ? Object.values(models).flatMap(({ engine }) => engine ?? [])
      : [this.#latest];
    const waitS = Math.max(0, ...loaded.map((metrics) => this.#waitS(metrics)));
    return Math.min(MAX_WAIT_S, waitS * (1 + Math.random() / 2));
  }

  #waitS({ now, recent }: EngineMetrics): number {
    const { e2eMs, queueMs } = recent.requests.overall;
    const serviceMs = Math.max(0, e2eMs.mean - queueMs.mean);
    const rows = Math.max(1, this.#engine.info.maxRows);
    return ((now.waiting + 1) * serviceMs) / rows / 1000;
  }
}
