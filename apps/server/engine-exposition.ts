/** An engine's metrics for Prometheus. The names are docs/metrics.md's. */
import type { EngineMetrics } from "../../worker.ts";
import type { Exposition } from "./exposition.ts";

type Totals = EngineMetrics["total"];

/** Every counter there is. */
const TOTALS: Readonly<Record<keyof Totals, readonly [name: string, help: string]>> = {
  requests: ["requests", "Answers that were asked for."],
  finished: ["requests_finished", "Answers that came to their end."],
  aborted: ["requests_aborted", "Answers that were ended early."],
  rejected: ["requests_rejected", "Answers that were too long to be served."],
  steps: ["steps", "Forward passes."],
  computedTokens: ["computed_tokens", "Tokens that were computed, of prompts and answers."],
  sampledTokens: ["sampled_tokens", "Tokens of answers."],
  prefixHitTokens: ["prefix_hit_tokens", "Tokens of prompts found in the prefix cache."],
  preemptions: ["preemptions", "Requests taken back to make room."],
  swappedBlocks: ["swapped_blocks", "KV blocks copied to the host and from there."],
  recomputedTokens: ["recomputed_tokens", "Tokens computed again after a preemption."],
  overshootTokens: ["overshoot_tokens", "Tokens sampled past an end and dropped."],
  draftRounds: ["draft_rounds", "Rounds of drafts that were verified."],
  draftedTokens: ["drafted_tokens", "Drafts in them."],
  acceptedTokens: ["accepted_tokens", "Drafts that stood."],
  gpuMs: ["gpu_seconds", "GPU time of all steps."],
  deviceLosses: ["device_losses", "Devices that went away and were replaced."],
};

export function writeEngineMetrics(to: Exposition, metrics: EngineMetrics): void {
  const { now, total, recent, uptimeMs } = metrics;
  const gauge = (name: string, help: string, value: number | undefined) => {
    if (value !== undefined) to.family("gauge", `weft_${name}`, help, [[{}, value]]);
  };
  gauge("uptime_seconds", "Since the engine was created.", uptimeMs / 1000);
  gauge("requests_waiting", "Answers that wait for their turn.", now.waiting);
  gauge("requests_running", "Answers that share the steps.", now.running);
  gauge("plans_in_flight", "Plans submitted and not read back.", now.plansInFlight);
  gauge("quantum_seconds", "Bound on a submission's GPU time.", seconds(now.quantumMs));
  to.family(
    "gauge",
    "weft_kv_used_ratio",
    "Share of the KV blocks in use, by KV group.",
    now.kv.map((share, group) => [{ group }, share] as const),
  );
  for (const [key, [name, help]] of Object.entries(TOTALS)) {
    const value = total[key as keyof Totals];
    const scaled = key === "gpuMs" ? value / 1000 : value;
    to.family("counter", `weft_${name}_total`, help, [[{}, scaled]]);
  }
  const { queueMs, ttftMs, itlMs, e2eMs } = recent.requests.overall;
  const latest = { queue: queueMs, ttft: ttftMs, itl: itlMs, e2e: e2eMs };
  for (const [name, { p50, p95, p99, n }] of Object.entries(latest)) {
    if (n === 0) continue;
    to.family("gauge", `weft_recent_${name}_seconds`, `${HELP[name]}, of the latest requests.`, [
      [{ quantile: "0.5" }, p50 / 1000],
      [{ quantile: "0.95" }, p95 / 1000],
      [{ quantile: "0.99" }, p99 / 1000],
    ]);
  }
}

const HELP: Readonly<Record<string, string>> = {
  queue: "From a request to its first plan",
  ttft: "From a request to its first token",
  itl: "Between tokens of a request",
  e2e: "From a request to its last token",
};

const seconds = (ms: number | undefined): number | undefined =>
  ms === undefined ? undefined : ms / 1000;
