/**
 * How long a request that came now would wait for its turn, from what plans cost and how long answers
 * were lately. A prediction for those who may send it elsewhere: no plan depends on it.
 */
import type { ResolvedConfig } from "./config.ts";
import type { CostModel } from "./cost-model.ts";
import { PRIORITIES, PRIORITY_RANK, type Priority } from "./priority.ts";
import type { Sequence } from "./sequence.ts";

/** What stands before a newcomer. */
export interface QueueState {
  readonly live: Iterable<Sequence>;
  readonly costs: CostModel;
  readonly maxRows: number;
  readonly maxTokensPerPlan: number;
  /** Of the KV groups that keep every token, the smallest. */
  readonly poolTokens: number;
  /** Until the GPU has run what was submitted. */
  readonly inFlightMs: number;
  /** Of answers lately; none has ended yet. */
  readonly meanTokens: number | undefined;
}

/** @param queue Blocks by KV group, and what changes from moment to moment. */
export function queueStateOf(
  { costs, maxRows, maxTokensPerPlan, kvGroups, blockTokens }: ResolvedConfig,
  {
    capacity,
    ...queue
  }: Pick<QueueState, "live" | "inFlightMs" | "meanTokens"> & {
    readonly capacity: readonly number[];
  },
): QueueState {
  const all = capacity.filter((_, group) => !kvGroups[group].window);
  return { ...queue, costs, maxRows, maxTokensPerPlan, poolTokens: blockTokens * Math.min(...all) };
}

/** Milliseconds from now to the first row of a newcomer of each class; its own prompt is not in it. */
export function queueDelayMs(state: QueueState): Record<Priority, number> {
  const running: Sequence[] = [];
  const waiting: Sequence[] = [];
  for (const sequence of state.live) {
    if (sequence.state === "running") running.push(sequence);
    else waiting.push(sequence);
  }
  const delays = PRIORITIES.map((priority) => {
    const rank = PRIORITY_RANK[priority];
    const ahead = waiting.filter((sequence) => PRIORITY_RANK[sequence.priority] <= rank);
    return [priority, delayMs(state, running, ahead)] as const;
  });
  return Object.fromEntries(delays) as Record<Priority, number>;
}

function delayMs(
  state: QueueState,
  running: readonly Sequence[],
  ahead: readonly Sequence[],
): number {
  const all = [...running, ...ahead];
  if (all.length === 0) return state.inFlightMs;
  const lefts = all.map((sequence) => tokensLeft(state, sequence));
  const places = Math.max(placesOf(state, all, lefts), running.length);
  // Those of them that run as soon as there is a plan, and how many end before a place is free.
  const served = lefts.slice(0, places).sort((a, b) => a - b);
  const ends = all.length + 1 - places;
  const rounds = Math.floor((ends - 1) / served.length);
  const steps = ends <= 0 ? 0 : served[(ends - 1) % served.length] + rounds * mean(lefts);
  return state.inFlightMs + promptMs(state, all) + steps * stepMs(state, all, served.length);
}

/** As long as answers were lately, or for as long again as one that is longer has been. */
function tokensLeft(
  { meanTokens }: QueueState,
  { maxTokens, numSampledTokens: sampled }: Sequence,
): number {
  const expected = Math.max(meanTokens ?? maxTokens, 2 * sampled);
  return Math.max(0, Math.min(maxTokens, expected) - sampled);
}

/** Requests like these that run beside each other. */
function placesOf(
  { poolTokens, maxRows }: QueueState,
  all: readonly Sequence[],
  lefts: readonly number[],
): number {
  const tokens = mean(all.map(({ numTokens }, i) => numTokens + lefts[i]));
  return Math.max(1, Math.min(maxRows, Math.floor(poolTokens / tokens)));
}

function promptMs({ costs, maxTokensPerPlan }: QueueState, all: readonly Sequence[]): number {
  let tokens = 0;
  for (const { numTokens, numComputedTokens } of all) {
    const missing = numTokens - numComputedTokens;
    // One that decodes lacks the newest token alone.
    if (missing > 1) tokens += missing;
  }
  const whole = Math.floor(tokens / maxTokensPerPlan);
  const rest = tokens % maxTokensPerPlan;
  const planMs = (numTokens: number) =>
    numTokens > 0 ? costs.predictMs({ numTokens, numKvTokens: numTokens, numAttended: 0 }) : 0;
  return whole * planMs(maxTokensPerPlan) + planMs(rest);
}

/** A step that gives each of so many a token. */
function stepMs({ costs }: QueueState, all: readonly Sequence[], rows: number): number {
  const numKvTokens = rows * mean(all.map(({ numTokens }) => numTokens));
  return costs.predictMs({ numTokens: rows, numKvTokens, numAttended: numKvTokens });
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
