/**
 * What an engine has done, in numbers: counters since its start, and distributions over the latest
 * requests and steps. Definitions: docs/metrics.md.
 */
import type { Distribution, Goodput, Priority, RequestSummary } from "../scheduler/index.ts";
import type { ExpertMetrics } from "./experts/expert-usage.ts";
import type { ModelState } from "./openai/models.ts";
import type { OverflowMetrics } from "./overflow/overflow-metrics.ts";
import type { FrameMetrics } from "./pacing/frame-meter.ts";

/** Plain data. Times in milliseconds, shares from 0 to 1. */
export interface EngineMetrics {
  readonly uptimeMs: number;
  readonly now: EngineGauges;
  readonly total: EngineTotals;
  readonly recent: RecentFigures;
  /** Where experts come and go. */
  readonly experts?: ExpertMetrics;
  /** By name, of an engine with several; the rest is of the first. */
  readonly models?: Readonly<Record<string, ModelMetrics>>;
  /** What went to a cluster, and why. */
  readonly overflow?: OverflowMetrics;
  /** Of the page that asks, while the engine worked for it. */
  readonly frames?: FrameMetrics;
}

/** Of one model of several. */
export interface ModelMetrics {
  readonly state: ModelState;
  /** That it takes now. */
  readonly bytes: number;
  /** Requests that it answers, and that wait for it to be there. */
  readonly users: number;
  readonly waiting: number;
  readonly loads: number;
  readonly evictions: number;
  /** Of the latest load, downloads and waiting for room included. */
  readonly loadMs?: number;
  /** In all its loads; none before the first. */
  readonly total?: EngineTotals;
  /** While it is loaded, and since. */
  readonly engine?: EngineMetrics;
}

/** At this moment. */
export interface EngineGauges {
  readonly waiting: number;
  readonly running: number;
  /** Predicted milliseconds until a request of each class that came now would have its turn. */
  readonly queueMs: Readonly<Record<Priority, number>>;
  /** Submitted, not read back. */
  readonly plansInFlight: number;
  /** Share of the KV blocks in use, per KV group. */
  readonly kv: readonly number[];
  /** Bound on a submission's predicted GPU time; none where it is unbounded. */
  readonly quantumMs?: number;
}

/** Since the engine was created. */
export interface EngineTotals {
  /** Those that have not ended included. */
  requests: number;
  finished: number;
  /** By their caller, by a later completion, or because the engine stopped. */
  aborted: number;
  /** Too long to be served. */
  rejected: number;
  /** Forward passes. */
  steps: number;
  computedTokens: number;
  /** Visible to readers. */
  sampledTokens: number;
  /** Of prompts, found in the prefix cache instead of computed. */
  prefixHitTokens: number;
  preemptions: number;
  /** KV blocks copied to the host for those taken back, and from there again. */
  swappedBlocks: number;
  /** Computed for a second or later time, since a preemption lost them. */
  recomputedTokens: number;
  /** Sampled past a request's end before the host knew of it, and dropped. */
  overshootTokens: number;
  /** Rounds of drafts, all verified; the drafts in them, and those that stood. */
  draftRounds: number;
  draftedTokens: number;
  acceptedTokens: number;
  /** Of all steps that were read back. */
  gpuMs: number;
  /** Devices that went away and were replaced. */
  deviceLosses: number;
}

/** Of the latest requests that ended (512, or fewer long ones) and the latest 1,024 steps. */
export interface RecentFigures {
  readonly requests: RequestSummary;
  /** From the first arrival to the last token of these requests. */
  readonly spanMs: number;
  /** By the service level of each request's class. */
  readonly goodput: Goodput;
  readonly tokensPerStep: Distribution;
  readonly rowsPerStep: Distribution;
  /** Layers that some row of a step runs, a sublayer counted as half: what is read of the weights. */
  readonly layersPerStep: Distribution;
  /** GPU time of a submission. */
  readonly submissionMs: Distribution;
  /** From the end of a step on the GPU to its tokens at the host, as far as that can be told. */
  readonly readbackLagMs: Distribution;
  /** Steps submitted meanwhile. */
  readonly readbackLagSteps: Distribution;
  /** |predicted − measured| / measured GPU time of a step. */
  readonly predictionError: Distribution;
}
