/** One line of the simulator's table: what a policy did with a load. */
import type { Load } from "./arrivals.ts";
import { jainOf } from "./fairness.ts";
import { firstTokenMs, meetsService, tokenGapsMs } from "./latencies.ts";
import type { Replay } from "./replay.ts";

export interface PolicyFigures {
  readonly name: string;
  readonly load: Load;
  readonly requests: number;
  /** Larger than the KV cache, answered with an error. */
  readonly refused: number;
  /** Plans; one forward pass each. */
  readonly steps: number;
  readonly preemptions: number;
  readonly recomputedTokens: number;
  /** Of all tokens computed. */
  readonly recomputedShare: number;
  /** Sampled past a request's end before the end was known. */
  readonly surplusTokens: number;
  /** Tokens in the KV cache over those that fit, mean over time. */
  readonly kvUtilization: number;
  readonly makespanMs: number;
  /** Prompt and output tokens of the requests served, per second of the makespan. */
  readonly tokPerS: number;
  /** Requests per second that met the service level: TTFT at most 10 s, no gap above 1.5 s. */
  readonly goodput: number;
  readonly ttftMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  readonly itlMs: { readonly p50: number; readonly p99: number };
  /** Of clients, 0 to 1. */
  readonly jain: number;
}

export function figuresOf(name: string, load: Load, replay: Replay): PolicyFigures {
  const { requests, numRefused, computedTokens, recomputedTokens, makespanMs } = replay;
  const served = requests.filter(({ tokenMs }) => tokenMs.length > 0);
  const tokens = served.reduce(
    (sum, { request }) => sum + request.numPromptTokens + request.outputTokens,
    0,
  );
  const perSecond = 1000 / makespanMs;
  const ttft = firstTokenMs(replay).sort();
  const gaps = tokenGapsMs(replay).sort();
  return {
    name,
    load,
    requests: requests.length,
    refused: numRefused,
    steps: replay.steps,
    preemptions: replay.numPreemptions,
    recomputedTokens,
    recomputedShare: recomputedTokens / computedTokens,
    surplusTokens: replay.surplusTokens,
    kvUtilization: replay.kvUtilization,
    makespanMs,
    tokPerS: tokens * perSecond,
    goodput: requests.filter(meetsService).length * perSecond,
    ttftMs: { p50: at(ttft, 0.5), p95: at(ttft, 0.95), p99: at(ttft, 0.99) },
    itlMs: { p50: at(gaps, 0.5), p99: at(gaps, 0.99) },
    jain: jainOf(replay),
  };
}

/** Nearest rank; 0 of nothing. */
const at = (ascending: Float64Array, share: number): number =>
  ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? 0;
