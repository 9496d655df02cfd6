/** One line of the simulator's table: what a policy did with a load. */
import type { Distribution } from "../metrics/distribution.ts";
import { clientShares, jainIndex } from "../metrics/fairness.ts";
import { meets, SERVICE_LEVELS, type ServiceLevel } from "../metrics/goodput.ts";
import { requestFigures } from "../metrics/summary.ts";
import type { Load } from "./arrivals.ts";
import type { Replay, ReplayedRequest } from "./replay.ts";

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
  /** Requests that met their service level. */
  readonly good: number;
  /** The same per second of the makespan, which is the policy's own: count and speed in one. */
  readonly goodput: number;
  readonly ttftMs: Distribution;
  readonly itlMs: Distribution;
  /** Of clients, over what each had got of what it asked for at half the makespan; 0 to 1. */
  readonly jain: number;
}

/** Of traces that name no classes: the Past-Future harness' level. */
const WITHOUT_CLASSES: ServiceLevel = { ttftMs: 10_000, maxGapMs: 1500 };

export function figuresOf(name: string, load: Load, replay: Replay): PolicyFigures {
  const { requests, computedTokens, makespanMs } = replay;
  const figures = requestFigures(requests);
  const { recomputedTokens } = figures;
  const served = requests.filter(({ tokenMs }) => tokenMs.length > 0);
  const tokens = served.reduce(
    (sum, { numPromptTokens, tokenMs }) => sum + numPromptTokens + tokenMs.length,
    0,
  );
  const perSecond = 1000 / makespanMs;
  const good = requests.filter((record) => meets(record, levelOf(record))).length;
  return {
    name,
    load,
    requests: figures.requests,
    refused: figures.rejected,
    steps: replay.steps,
    preemptions: figures.preemptions,
    recomputedTokens,
    recomputedShare: recomputedTokens / computedTokens,
    surplusTokens: replay.surplusTokens,
    kvUtilization: replay.kvUtilization,
    makespanMs,
    tokPerS: tokens * perSecond,
    good,
    goodput: good * perSecond,
    ttftMs: figures.ttftMs,
    itlMs: figures.itlMs,
    jain: jainIndex(clientShares(requests, makespanMs / 2).values()),
  };
}

const levelOf = ({ request: { priority } }: ReplayedRequest): ServiceLevel =>
  priority === undefined ? WITHOUT_CLASSES : SERVICE_LEVELS[priority];
