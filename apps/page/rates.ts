/** Tokens per second and rows per plan over the latest minute, from what the engine says of itself. */
import type { EngineMetrics, Trace } from "../../worker.ts";
import { planSlices } from "./timeline.ts";

export interface RateSample {
  /** Seconds since the engine was created. */
  readonly atS: number;
  /** Visible to readers, of all requests together. */
  readonly tokensPerS: number;
  /** Rows of a plan on average; 0 where none ran. */
  readonly rows: number;
}

const KEPT_S = 60;
/** A slow device ends few plans a second, and tokens come in bursts: figures are means over so long. */
const MEAN_MS = 2000;

export class Rates {
  readonly samples: RateSample[] = [];
  /** Of the time that figures are means over, the oldest first. */
  readonly #past: { readonly uptimeMs: number; readonly tokens: number }[] = [];

  /** @param trace At least of the latest two seconds. */
  add({ uptimeMs, total, now }: EngineMetrics, trace: Trace): void {
    const past = this.#past;
    past.push({ uptimeMs, tokens: total.sampledTokens });
    while (past.length > 2 && past[1].uptimeMs <= uptimeMs - MEAN_MS) past.shift();
    const [first] = past;
    if (uptimeMs <= first.uptimeMs) return;
    const plans = planSlices(trace).filter(({ toMs }) => toMs > first.uptimeMs && toMs <= uptimeMs);
    const rows = plans.reduce((sum, plan) => sum + plan.rows, 0);
    // A plan that takes longer than that is still the same plan.
    const before = now.plansInFlight > 0 ? (this.latest?.rows ?? 0) : 0;
    this.samples.push({
      atS: uptimeMs / 1000,
      tokensPerS: (1000 * (total.sampledTokens - first.tokens)) / (uptimeMs - first.uptimeMs),
      rows: plans.length === 0 ? before : rows / plans.length,
    });
    while (this.samples[0].atS < uptimeMs / 1000 - KEPT_S) this.samples.shift();
  }

  get latest(): RateSample | undefined {
    return this.samples.at(-1);
  }

  peak(of: "tokensPerS" | "rows"): number {
    return this.samples.reduce((most, sample) => Math.max(most, sample[of]), 0);
  }
}
