/**
 * Hears what the step loop does and hands it to the metrics and to the trace. Owns the one thing
 * that both need and nobody measures: when a plan was on the GPU.
 */
import type { Scheduler } from "../scheduler/index.ts";
import type { SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { engineMetrics } from "./engine-metrics.ts";
import type { SequenceStart } from "./live-sequence.ts";
import type { LoopObserver, PlanTimes } from "./loop-observer.ts";
import type { EngineGauges, EngineMetrics } from "./metrics.ts";
import { MetricsRecorder, type RequestStart } from "./metrics-recorder.ts";
import type { Trace, Traced, TraceOptions } from "./trace.ts";
import { TraceRecorder } from "./trace-recorder.ts";

export interface TelemetryOptions {
  readonly scheduler: Scheduler;
  readonly now: () => number;
  /** Of the model. */
  readonly numStages: number;
  /** Names for the trace. */
  readonly model: string;
  readonly adapter: string;
  readonly onRead?: PlanListener;
}

/** Hears of every plan when its tokens came to the host, in the order in which the plans were made. */
export type PlanListener = (plan: WorkPlan, times: PlanTimes & { plannedMs: number }) => void;

export class Telemetry implements LoopObserver {
  readonly #options: TelemetryOptions;
  readonly #metrics: MetricsRecorder;
  readonly #trace = new TraceRecorder();
  readonly #startMs: number;
  /** Of plans that were not read back yet, in order. */
  readonly #plannedMs: number[] = [];
  /** When the GPU was done with the last plan that was read back. */
  #gpuFreeMs = Number.NEGATIVE_INFINITY;

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#startMs = options.now();
    this.#metrics = new MetricsRecorder(this.#startMs, options.numStages);
  }

  async metrics(): Promise<EngineMetrics> {
    const { engineMetrics } = await import("./engine-metrics.ts");
    return engineMetrics(...this.measured);
  }

  /** What the metrics are worked out of, at this moment. */
  get measured(): Parameters<typeof engineMetrics> {
    const { scheduler, now } = this.#options;
    const nowMs = now();
    return [this.#metrics.data(nowMs), scheduler, nowMs];
  }

  async gauges(): Promise<EngineGauges> {
    const { engineGauges } = await import("./engine-metrics.ts");
    return engineGauges(this.#options.scheduler, this.#options.now());
  }

  async trace(options?: TraceOptions): Promise<Trace> {
    const traced = this.traced(options);
    return (await import("./trace.ts")).traceOf(traced);
  }

  /** What a trace is made of, at this moment. */
  traced({ sinceMs = Number.NEGATIVE_INFINITY }: TraceOptions = {}): Traced {
    const { now, model, adapter } = this.#options;
    const slices = this.#trace.slices(now(), this.#startMs + sinceMs);
    return { slices, startMs: this.#startMs, model, adapter };
  }

  onAdd(id: SequenceId, start: SequenceStart, nowMs: number): void {
    this.#metrics.add(id, start, nowMs);
    this.#trace.add(id, start, nowMs);
  }

  /** The loop never had it. */
  onReject(start: RequestStart): void {
    this.#metrics.reject(start, this.#options.now());
  }

  onPlan(plan: WorkPlan, nowMs: number): void {
    this.#plannedMs.push(nowMs);
    this.#metrics.plan(plan, nowMs);
  }

  onCommit(...[plan, times, standing, ran]: Parameters<LoopObserver["onCommit"]>): void {
    const { submittedMs, gpuMs, readMs, submissionMs } = times;
    const plannedMs = this.#plannedMs.shift()!;
    // The GPU runs plans in order: each begins when it is there and the one before has ended.
    const startMs = Math.max(submittedMs, this.#gpuFreeMs);
    const endMs = Math.min(readMs, startMs + gpuMs);
    this.#gpuFreeMs = endMs;
    const lagSteps = this.#plannedMs.length;
    const run = { gpuMs, readMs, submissionMs, lagMs: readMs - endMs, lagSteps };
    this.#metrics.commit(plan, run, standing, ran);
    this.#trace.commit(plan, { plannedMs, startMs, endMs, gpuMs });
    this.#options.onRead?.(plan, { ...times, plannedMs });
  }

  onLoss(): void {
    this.#plannedMs.length = 0;
    this.#metrics.lose();
  }

  onEnd(id: SequenceId, end: "finished" | "aborted", nowMs: number): void {
    this.#metrics.end(id, end);
    this.#trace.end(id, end, nowMs);
  }
}
