/**
 * What an engine did lately, to look at: trace-event JSON for Perfetto and chrome://tracing. One
 * track per request (queued, prefill, decode, preempted) and one for the GPU. Keeps the latest
 * slices alone.
 *
 * @see Trace Event Format (Google), complete and metadata events.
 */
import type { PlannedRow, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { SequenceStart } from "./live-sequence.ts";
import { SLICE_NUMBERS, type Slice, SliceLog, type Track } from "./slice-log.ts";

/** Plain data: `JSON.stringify` makes the file. */
export interface Trace {
  readonly displayTimeUnit: "ms";
  readonly traceEvents: readonly TraceEvent[];
}

export type TraceEvent = TraceSlice | TraceName;

/** Slices of one track do not overlap. */
export interface TraceSlice {
  readonly ph: "X";
  readonly name: string;
  readonly pid: number;
  /** 0 is the GPU, others are requests. */
  readonly tid: number;
  /** Whole microseconds since the engine was created. */
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, number | string>>;
}

export interface TraceName {
  readonly ph: "M";
  readonly name: "process_name" | "thread_name" | "thread_sort_index";
  readonly pid: number;
  readonly tid: number;
  readonly args:
    | {
        readonly name: string;
        /** Of a request that named one. */
        readonly client?: string;
      }
    | { readonly sort_index: number };
}

export interface TraceOptions {
  /** Only what ended later, in milliseconds since the engine was created. Default all that is kept. */
  readonly sinceMs?: number;
}

/** Where a plan was in time; `startMs` and `endMs` on the GPU. */
export interface TracedRun {
  readonly plannedMs: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly gpuMs: number;
}

interface LiveTrack {
  readonly track: Track;
  /** "prefill" between two chunks, too. */
  phase: "queued" | "prefill" | "decode" | "preempted";
  sinceMs: number;
  /** End of what is known of it. */
  untilMs: number;
  /** Of this decode phase. */
  numTokens: number;
}

const MOST_SLICES = 16_384;
const PID = 1;

export class TraceRecorder {
  readonly #startMs: number;
  readonly #process: string;
  readonly #adapter: string;
  readonly #live = new Map<SequenceId, LiveTrack>();
  readonly #slices = new SliceLog(MOST_SLICES);

  constructor(startMs: number, model: string, adapter: string) {
    this.#startMs = startMs;
    this.#process = `Weft: ${model}`;
    this.#adapter = adapter;
  }

  add(id: SequenceId, { promptIds, scheduling }: SequenceStart, nowMs: number): void {
    const { priority = "interactive", client } = scheduling ?? {};
    this.#live.set(id, {
      track: { tid: id, priority, numPromptTokens: promptIds.length, client },
      phase: "queued",
      sinceMs: nowMs,
      untilMs: nowMs,
      numTokens: 0,
    });
  }

  /** Plans come in the order in which the GPU ran them, so each track grows at its end. */
  commit(plan: WorkPlan, run: TracedRun): void {
    const tokens = plan.rows.reduce((sum, { tokens: { from, to } }) => sum + to - from, 0);
    const { startMs, endMs, gpuMs } = run;
    const counts = [plan.id, plan.rows.length, tokens, plan.preempted.length];
    const numbers = [...counts, plan.predictedMs, gpuMs];
    this.#slices.push({ kind: "gpu", track: ON_DEVICE, startMs, endMs, numbers });
    for (const id of plan.preempted) {
      const live = this.#live.get(id);
      if (live === undefined) continue;
      this.#close(live);
      live.phase = "preempted";
      live.sinceMs = Math.max(live.untilMs, run.plannedMs);
      live.untilMs = live.sinceMs;
    }
    for (const row of plan.rows) this.#grow(row, plan.id, run);
  }

  end(id: SequenceId, end: "finished" | "aborted", nowMs: number): void {
    const live = this.#live.get(id);
    this.#live.delete(id);
    if (live === undefined) return;
    if (isWaiting(live)) live.untilMs = Math.max(live.untilMs, nowMs);
    this.#close(live, end);
  }

  snapshot(nowMs: number, { sinceMs = Number.NEGATIVE_INFINITY }: TraceOptions = {}): Trace {
    const fromMs = this.#startMs + sinceMs;
    const slices = [...this.#slices].filter(({ endMs }) => endMs > fromMs);
    for (const live of this.#live.values()) {
      const open = openSlice(live, isWaiting(live) ? Math.max(nowMs, live.sinceMs) : live.untilMs);
      if (open !== undefined) slices.push(open);
    }
    const tracks = new Map(slices.map(({ track }) => [track.tid, track]));
    tracks.set(ON_DEVICE.tid, ON_DEVICE);
    return {
      displayTimeUnit: "ms",
      traceEvents: [
        { ph: "M", name: "process_name", pid: PID, tid: 0, args: { name: this.#process } },
        ...[...tracks.values()].flatMap((track) => this.#names(track)),
        ...slices.map((slice) => this.#event(slice)),
      ],
    };
  }

  #grow({ sequenceId, tokens, stages }: PlannedRow, plan: number, run: TracedRun): void {
    const live = this.#live.get(sequenceId);
    // Ended while the plan was in flight.
    if (live === undefined) return;
    if (isWaiting(live)) {
      live.untilMs = Math.max(live.sinceMs, run.plannedMs);
      this.#close(live);
    }
    const { from, to } = tokens;
    if (from >= live.track.numPromptTokens && to - from === 1) {
      if (live.phase !== "decode") live.sinceMs = run.startMs;
      live.phase = "decode";
      live.numTokens += 1;
    } else {
      this.#close(live);
      live.phase = "prefill";
      const { startMs, endMs } = run;
      const numbers = [from, to, stages.from, stages.to, plan];
      this.#slices.push({ kind: "prefill", track: live.track, startMs, endMs, numbers });
    }
    live.untilMs = run.endMs;
  }

  #close(live: LiveTrack, end?: Slice["end"]): void {
    const slice = openSlice(live, live.untilMs, end);
    if (slice !== undefined) this.#slices.push(slice);
    live.phase = "prefill";
    live.numTokens = 0;
  }

  #event(slice: Slice): TraceSlice {
    const { tid } = slice.track;
    // Both ends are rounded, so that slices which touch still do.
    const ts = Math.round(1000 * (slice.startMs - this.#startMs));
    const dur = Math.round(1000 * (slice.endMs - this.#startMs)) - ts;
    return { ph: "X", name: nameOf(slice), pid: PID, tid, ts, dur, args: argsOf(slice) };
  }

  #names({ tid, priority, numPromptTokens, client }: Track): TraceName[] {
    const name =
      tid === ON_DEVICE.tid
        ? `GPU: ${this.#adapter}`
        : `request ${tid}: ${priority}, ${numPromptTokens} prompt tokens`;
    return [
      { ph: "M", name: "thread_name", pid: PID, tid, args: { name, ...(client && { client }) } },
      { ph: "M", name: "thread_sort_index", pid: PID, tid, args: { sort_index: tid } },
    ];
  }
}

const ON_DEVICE: Track = { tid: 0, priority: "interactive", numPromptTokens: 0 };

const isWaiting = ({ phase }: LiveTrack): boolean => phase === "queued" || phase === "preempted";

/** A chunk's slice is complete as soon as it is known. */
function openSlice(
  { track, phase, sinceMs, numTokens }: LiveTrack,
  endMs: number,
  end?: Slice["end"],
): Slice | undefined {
  if (phase === "prefill") return undefined;
  const numbers = phase === "decode" ? [numTokens] : [];
  return { kind: phase, track, startMs: sinceMs, endMs, numbers, end };
}

function nameOf({ kind, numbers }: Slice): string {
  if (kind !== "gpu") return kind;
  return numbers[1] === 1 ? "1 row" : `${numbers[1]} rows`;
}

function argsOf({ kind, numbers, end }: Slice): TraceSlice["args"] {
  if (kind === "prefill") {
    const [from, to, fromStage, toStage, plan] = numbers;
    return { from, to, stages: `${fromStage} to ${toStage}`, plan };
  }
  const named = SLICE_NUMBERS[kind].map((name, i) => [name, numbers[i]] as const);
  return { ...Object.fromEntries(named), ...(end && { end }) };
}
