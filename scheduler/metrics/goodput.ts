/** Who was served as promised: service levels, and the rate of requests that meet theirs. */
import type { Priority } from "../priority.ts";
import { quantile } from "./distribution.ts";
import { e2eMs, gapsMs, mtpotMs, ttftMs } from "./latency.ts";
import type { RequestRecord } from "./request-record.ts";

/** What is left out is not asked for. */
export interface ServiceLevel {
  /** From arrival to the first token. */
  readonly ttftMs?: number;
  /** No gap between two tokens is longer. */
  readonly maxGapMs?: number;
  /** 99 of 100 gaps of the request are not longer. */
  readonly p99ItlMs?: number;
  /** From arrival to the last token. */
  readonly totalMs?: number;
}

/** What readers of each class notice. */
export const SERVICE_LEVELS: Readonly<Record<Priority, ServiceLevel>> = {
  interactive: { ttftMs: 500, p99ItlMs: 100 },
  completion: { totalMs: 200 },
  agent: { ttftMs: 5000, p99ItlMs: 200 },
  background: {},
};

/** The request finished, and within all that the level asks for. */
export function meets(record: RequestRecord, level: ServiceLevel): boolean {
  const within = (ms: number | undefined, most = Number.POSITIVE_INFINITY) => (ms ?? 0) <= most;
  return (
    record.end === "finished" &&
    within(ttftMs(record), level.ttftMs) &&
    within(mtpotMs(record), level.maxGapMs) &&
    within(e2eMs(record), level.totalMs) &&
    (level.p99ItlMs === undefined || within(p99GapMs(record), level.p99ItlMs))
  );
}

export interface Goodput {
  /** Requests per second that met their level. */
  readonly requestsPerS: number;
  /** Token goodput: sampled tokens per second of those requests. */
  readonly tokensPerS: number;
  /** Share of the requests that met their level; rejected and aborted ones did not. */
  readonly attainment: number;
}

/**
 * @param spanMs Time in which the records were served.
 * @param level One for all; by default each class has its own.
 */
export function goodput(
  records: readonly RequestRecord[],
  spanMs: number,
  level?: ServiceLevel,
): Goodput {
  const good = records.filter((record) => meets(record, level ?? SERVICE_LEVELS[record.priority]));
  const tokens = good.reduce((sum, { tokenMs }) => sum + tokenMs.length, 0);
  const perSecond = spanMs > 0 ? 1000 / spanMs : 0;
  return {
    requestsPerS: good.length * perSecond,
    tokensPerS: tokens * perSecond,
    attainment: records.length === 0 ? 0 : good.length / records.length,
  };
}

const p99GapMs = (record: RequestRecord): number => quantile(gapsMs([record]).sort(), 0.99);
