/**
 * What one model of several has done, in all its loads: its counters go on where its last engine left off. Reads
 * engines; knows nothing of who is loaded when.
 */
import type { HostedEngine } from "../engine-api.ts";
import type { EngineMetrics, EngineTotals } from "../metrics.ts";

export class ModelFigures {
  /** Of engines that are no more. */
  #before: EngineTotals | undefined;
  /** Of the engine that is there, or was the last time. */
  #latest: EngineMetrics | undefined;
  readonly #ended = new WeakSet<HostedEngine>();
  #isCounted = true;

  /** As last read. */
  get latest(): EngineMetrics | undefined {
    return this.#latest;
  }

  /** None before the first reading. */
  get total(): EngineTotals | undefined {
    return this.#isCounted ? this.#before : sum(this.#before, this.#latest?.total);
  }

  /** @throws {WeftError} of an engine that answers nothing any more. */
  async read(engine: HostedEngine): Promise<EngineMetrics> {
    const metrics = await engine.metrics();
    // Another reading of it may have taken longer than it was there.
    if (this.#ended.has(engine)) return metrics;
    this.#latest = metrics;
    this.#isCounted = false;
    return metrics;
  }

  /** It is about to be closed. What it did since it was last read is lost where it answers no more. */
  async end(engine: HostedEngine): Promise<void> {
    await this.read(engine).catch(() => {});
    this.#before = this.total;
    this.#isCounted = true;
    this.#ended.add(engine);
  }
}

function sum(a: EngineTotals | undefined, b: EngineTotals | undefined): EngineTotals | undefined {
  if (!a || !b) return a ?? b;
  const all = Object.entries(b).map(([key, value]) => [key, a[key as keyof EngineTotals] + value]);
  return Object.fromEntries(all) as EngineTotals;
}
