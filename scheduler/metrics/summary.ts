/** The figures of a list of requests, overall and by class. */
import { PRIORITIES, type Priority } from "../priority.ts";
import { type Distribution, distribution } from "./distribution.ts";
import { e2eMs, gapsMs, mtpotMs, queueMs, tpotMs, ttftMs } from "./latency.ts";
import type { RequestRecord } from "./request-record.ts";

export interface RequestFigures {
  readonly requests: number;
  readonly finished: number;
  readonly aborted: number;
  readonly rejected: number;
  readonly promptTokens: number;
  readonly sampledTokens: number;
  readonly preemptions: number;
  /** Of one request. */
  readonly mostPreemptions: number;
  readonly recomputedTokens: number;
  readonly prefixHitTokens: number;
  /** First planned − arrival. */
  readonly queueMs: Distribution;
  /** First token visible − arrival. */
  readonly ttftMs: Distribution;
  /** Gaps between consecutive visible tokens of a request, of all requests together. */
  readonly itlMs: Distribution;
  /** (Last token − first token) / (tokens − 1). */
  readonly tpotMs: Distribution;
  /** The longest gap of each request. */
  readonly mtpotMs: Distribution;
  /** Last token visible − arrival, of finished requests. */
  readonly e2eMs: Distribution;
}

export interface RequestSummary {
  readonly overall: RequestFigures;
  /** Classes that had a request. */
  readonly classes: Readonly<Partial<Record<Priority, RequestFigures>>>;
}

export function summarize(records: readonly RequestRecord[]): RequestSummary {
  const overall = requestFigures(records);
  const classes: Partial<Record<Priority, RequestFigures>> = {};
  for (const priority of PRIORITIES) {
    const own = records.filter((record) => record.priority === priority);
    if (own.length === 0) continue;
    classes[priority] = own.length === records.length ? overall : requestFigures(own);
  }
  return { overall, classes };
}

/** Times of requests that have not ended count as far as they are known. */
export function requestFigures(records: readonly RequestRecord[]): RequestFigures {
  const ended = (end: RequestRecord["end"]) => records.filter((record) => record.end === end);
  const finished = ended("finished");
  const sum = (count: (record: RequestRecord) => number) =>
    records.reduce((total, record) => total + count(record), 0);
  return {
    requests: records.length,
    finished: finished.length,
    aborted: ended("aborted").length,
    rejected: ended("rejected").length,
    promptTokens: sum(({ numPromptTokens }) => numPromptTokens),
    sampledTokens: sum(({ tokenMs }) => tokenMs.length),
    preemptions: sum(({ numPreemptions }) => numPreemptions),
    mostPreemptions: records.reduce((most, { numPreemptions: n }) => Math.max(most, n), 0),
    recomputedTokens: sum(({ numRecomputedTokens }) => numRecomputedTokens),
    prefixHitTokens: sum(({ numPrefixHitTokens }) => numPrefixHitTokens),
    queueMs: distributionOf(records, queueMs),
    ttftMs: distributionOf(records, ttftMs),
    itlMs: distribution(gapsMs(records)),
    tpotMs: distributionOf(records, tpotMs),
    mtpotMs: distributionOf(records, mtpotMs),
    e2eMs: distributionOf(finished, e2eMs),
  };
}

const distributionOf = (
  records: readonly RequestRecord[],
  timeOf: (record: RequestRecord) => number | undefined,
): Distribution => distribution(records.map(timeOf).filter((ms): ms is number => ms !== undefined));
