/** Metrics of an engine's models for Prometheus, each sample with its model. The names are docs/metrics.md's. */
import type { EngineMetrics } from "../../worker.ts";
import type { Exposition, Labels } from "./exposition.ts";

type Totals = EngineMetrics["total"];
type Model = NonNullable<EngineMetrics["models"]>[string];
type Sample = readonly [Labels, number];

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

const LATEST = {
  queue: ["queueMs", "From a request to its first plan"],
  ttft: ["ttftMs", "From a request to its first token"],
  itl: ["itlMs", "Between tokens of a request"],
  e2e: ["e2eMs", "From a request to its last token"],
} as const;

/** What is told of a model, whether it is one or one of several. */
interface Told {
  readonly model: string;
  /** While it is loaded. */
  readonly metrics?: EngineMetrics;
  readonly total?: Totals;
}

/** @param model Of an engine that has one alone. */
export function writeEngineMetrics(to: Exposition, engine: EngineMetrics, model: string): void {
  const { models, uptimeMs } = engine;
  to.family("gauge", "weft_uptime_seconds", "Since the engine was created.", [
    [{}, uptimeMs / 1000],
  ]);
  const all: readonly Told[] = models
    ? Object.entries(models).map(([name, { engine: metrics, total }]) => {
        return { model: name, metrics, total };
      })
    : [{ model, metrics: engine, total: engine.total }];
  writeGauges(to, all);
  for (const [key, [name, help]] of Object.entries(TOTALS)) {
    const samples = all.flatMap(({ model, total }): Sample[] => {
      const value = total?.[key as keyof Totals];
      return value === undefined ? [] : [[{ model }, key === "gpuMs" ? value / 1000 : value]];
    });
    to.family("counter", `weft_${name}_total`, help, samples);
  }
  writeLatest(to, all);
  writeExperts(to, all);
  if (models) writeModels(to, models);
}

function writeGauges(to: Exposition, all: readonly Told[]): void {
  const gauge = (
    name: string,
    help: string,
    samplesOf: (now: EngineMetrics["now"]) => readonly Sample[],
  ) => {
    const samples = all.flatMap(({ model, metrics }) =>
      (metrics ? samplesOf(metrics.now) : []).map(
        ([more, value]): Sample => [{ model, ...more }, value],
      ),
    );
    to.family("gauge", `weft_${name}`, help, samples);
  };
  gauge("requests_waiting", "Answers that wait for their turn.", (now) => [[{}, now.waiting]]);
  gauge("requests_running", "Answers that share the steps.", (now) => [[{}, now.running]]);
  gauge("plans_in_flight", "Plans submitted and not read back.", (now) => [
    [{}, now.plansInFlight],
  ]);
  gauge("quantum_seconds", "Bound on a submission's GPU time.", ({ quantumMs }) =>
    quantumMs === undefined ? [] : [[{}, quantumMs / 1000]],
  );
  gauge("kv_used_ratio", "Share of the KV blocks in use, by KV group.", ({ kv }) =>
    kv.map((share, group): Sample => [{ group }, share]),
  );
  gauge(
    "predicted_queue_seconds",
    "How long who came now would wait for a first plan, by priority.",
    ({ queueMs }) => Object.entries(queueMs).map(([priority, ms]) => [{ priority }, ms / 1000]),
  );
}

function writeLatest(to: Exposition, all: readonly Told[]): void {
  for (const [name, [field, help]] of Object.entries(LATEST)) {
    const samples = all.flatMap(({ model, metrics }): Sample[] => {
      const latest = metrics?.recent.requests.overall[field];
      if (!latest || latest.n === 0) return [];
      const { p50, p95, p99 } = latest;
      return [
        [{ model, quantile: "0.5" }, p50 / 1000],
        [{ model, quantile: "0.95" }, p95 / 1000],
        [{ model, quantile: "0.99" }, p99 / 1000],
      ];
    });
    to.family("gauge", `weft_recent_${name}_seconds`, `${help}, of the latest requests.`, samples);
  }
}

type Experts = NonNullable<EngineMetrics["experts"]>;

/** Where experts come and go. */
function writeExperts(to: Exposition, all: readonly Told[]): void {
  const counter = (name: string, help: string, of: (experts: Experts) => number) => {
    const samples = all.flatMap(({ model, metrics }): Sample[] =>
      metrics?.experts ? [[{ model }, of(metrics.experts)]] : [],
    );
    to.family("counter", `weft_expert_${name}_total`, help, samples);
  };
  counter("needed", "Experts that layers of steps needed, each once.", ({ needed }) => needed);
  counter("hits", "Of them, those that were on the GPU.", ({ needed, hitRate }) =>
    Math.round(needed * hitRate),
  );
  counter("uploads", "Experts brought to the GPU.", ({ uploads }) => uploads);
  counter("uploaded_bytes", "Bytes of them.", ({ uploadedBytes }) => uploadedBytes);
}

const STATES: readonly Model["state"][] = ["unloaded", "loading", "ready", "leaving"];

function writeModels(to: Exposition, models: Readonly<Record<string, Model>>): void {
  const family = (
    type: "gauge" | "counter",
    name: string,
    help: string,
    figure: (model: Model) => number | undefined,
  ) => {
    const samples = Object.entries(models).flatMap(([model, known]): Sample[] => {
      const value = figure(known);
      return value === undefined ? [] : [[{ model }, value]];
    });
    to.family(type, `weft_model_${name}`, help, samples);
  };
  to.family(
    "gauge",
    "weft_model_state",
    "1 for the state that the model is in, by state.",
    Object.entries(models).flatMap(([model, known]) =>
      STATES.map((state): Sample => [{ model, state }, Number(known.state === state)]),
    ),
  );
  family("gauge", "bytes", "Memory that the model takes.", ({ bytes }) => bytes);
  family("gauge", "users", "Requests that have it.", ({ users }) => users);
  family("gauge", "waiting", "Requests that wait for it to be loaded.", ({ waiting }) => waiting);
  family("counter", "loads_total", "How often it was loaded.", ({ loads }) => loads);
  family("counter", "evictions_total", "How often it made place.", ({ evictions }) => evictions);
  family("gauge", "load_seconds", "Its latest load, waiting for room included.", ({ loadMs }) =>
    loadMs === undefined ? undefined : loadMs / 1000,
  );
}
