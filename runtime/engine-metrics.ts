/** The figures of an engine, worked out when they are asked for. Loaded then, too. */
import { distribution } from "../scheduler/metrics/distribution.ts";
import { goodput } from "../scheduler/metrics/goodput.ts";
import type { RequestRecord } from "../scheduler/metrics/request-record.ts";
import { summarize } from "../scheduler/metrics/summary.ts";
import { queueDelayMs } from "../scheduler/queue-delay.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { EngineGauges, EngineMetrics, RecentFigures } from "./metrics.ts";
import type { MetricsData } from "./metrics-recorder.ts";

export function engineMetrics(data: MetricsData, scheduler: Scheduler, nowMs: number) {
  const { uptimeMs, total } = data;
  const now = engineGauges(scheduler, nowMs);
  return { uptimeMs, now, total, recent: recent(data) } satisfies EngineMetrics;
}

export function engineGauges(scheduler: Scheduler, nowMs: number): EngineGauges {
  const { numWaiting: waiting, numRunning: running, numInFlight, usage, quantumMs } = scheduler;
  return {
    ...{ waiting, running, plansInFlight: numInFlight, kv: [...usage] },
    queueMs: queueDelayMs(scheduler.queueState(nowMs)),
    ...(Number.isFinite(quantumMs) && { quantumMs }),
  };
}

function recent({ ended, steps, submissions }: MetricsData): RecentFigures {
  const spanMs = spanOf(ended);
  const measured = steps.filter(({ gpuMs }) => gpuMs > 0);
  return {
    requests: summarize(ended),
    spanMs,
    goodput: goodput(ended, spanMs),
    tokensPerStep: distribution(steps.map(({ tokens }) => tokens)),
    rowsPerStep: distribution(steps.map(({ rows }) => rows)),
    layersPerStep: distribution(steps.map(({ layers }) => layers)),
    submissionMs: distribution(submissions.map(({ ms }) => ms)),
    readbackLagMs: distribution(steps.map(({ lagMs }) => lagMs)),
    readbackLagSteps: distribution(steps.map(({ lagSteps }) => lagSteps)),
    predictionError: distribution(
      measured.map(({ predictedMs, gpuMs }) => Math.abs(predictedMs - gpuMs) / gpuMs),
    ),
  };
}

/** Rejected requests took no time. */
function spanOf(records: readonly RequestRecord[]): number {
  let firstMs = Number.POSITIVE_INFINITY;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const { arrivalMs, tokenMs } of records) {
    if (tokenMs.length === 0) continue;
    firstMs = Math.min(firstMs, arrivalMs);
    lastMs = Math.max(lastMs, tokenMs[tokenMs.length - 1]);
  }
  return Math.max(0, lastMs - firstMs);
}
