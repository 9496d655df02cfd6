/**
 * What an engine did lately, to look at: trace-event JSON for Perfetto and chrome://tracing. One
 * track per request (queued, prefill, decode, preempted) and one for the GPU. Keeps the latest
 * slices alone.
 *
 * @see Trace Event Format (Google), complete and metadata events.
 */
import type { PlannedRow, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { SequenceStart } from "./live-sequence.ts";
import { Ring } from "./ring.ts";

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

interface Track {
  readonly tid: number;
  readonly name: string;
  readonly client?: string;
}

interface Slice {
  readonly track: Track;
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly args: TraceSlice["args"];
}

interface LiveTrack {
  readonly track: Track;
  readonly numPromptTokens: number;
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
  readonly #gpu: Track;
  readonly #live = new Map<SequenceId, LiveTrack>();
  readonly #slices = new Ring<Slice>(MOST_SLICES);

  constructor(startMs: number, model: string, adapter: string) {
    this.#startMs = startMs;
    this.#process = `Weft: ${model}`;
    this.#gpu = { tid: 0, name: `GPU: ${adapter}` };
  }

  add(id: SequenceId, { promptIds, scheduling }: SequenceStart, nowMs: number): void {
    const { priority = "interactive", client } = scheduling ?? {};
    const name = `request ${id}: ${priority}, ${promptIds.length} prompt tokens`;
    this.#live.set(id, {
      track: { tid: id, name, client },
      numPromptTokens: promptIds.length,
      phase: "queued",
      sinceMs: nowMs,
      untilMs: nowMs,
      numTokens: 0,
    });
  }

  /** Plans come in the order in which the GPU ran them, so each track grows at its end. */
  commit(plan: WorkPlan, run: TracedRun): void {
    const tokens = plan.rows.reduce((sum, { tokens: { from, to } }) => sum + to - from, 0);
    this.#slices.push({
      track: this.#gpu,
      name: plan.rows.length === 1 ? "1 row" : `${plan.rows.length} rows`,
      startMs: run.startMs,
      endMs: run.endMs,
      args: {
        ...{ plan: plan.id, rows: plan.rows.length, tokens, preempted: plan.preempted.length },
        ...{ predictedMs: plan.predictedMs, gpuMs: run.gpuMs },
      },
    });
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
    this.#close(live, { end });
  }

  snapshot(nowMs: number, { sinceMs = Number.NEGATIVE_INFINITY }: TraceOptions = {}): Trace {
    const fromMs = this.#startMs + sinceMs;
    const slices = [...this.#slices].filter(({ endMs }) => endMs > fromMs);
    for (const live of this.#live.values()) {
      const open = openSlice(live, isWaiting(live) ? Math.max(nowMs, live.sinceMs) : live.untilMs);
      if (open !== undefined) slices.push(open);
    }
    const tracks = new Map(slices.map(({ track }) => [track.tid, track]));
    tracks.set(this.#gpu.tid, this.#gpu);
    return {
      displayTimeUnit: "ms",
      traceEvents: [
        { ph: "M", name: "process_name", pid: PID, tid: 0, args: { name: this.#process } },
        ...[...tracks.values()].flatMap(namesOf),
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
    if (from >= live.numPromptTokens && to - from === 1) {
      if (live.phase !== "decode") live.sinceMs = run.startMs;
      live.phase = "decode";
      live.numTokens += 1;
    } else {
      this.#close(live);
      live.phase = "prefill";
      const { startMs, endMs } = run;
      this.#slices.push({
        ...{ track: live.track, name: "prefill", startMs, endMs },
        args: { from, to, stages: `${stages.from} to ${stages.to}`, plan },
      });
    }
    live.untilMs = run.endMs;
  }

  #close(live: LiveTrack, more: TraceSlice["args"] = {}): void {
    const slice = openSlice(live, live.untilMs, more);
    if (slice !== undefined) this.#slices.push(slice);
    live.phase = "prefill";
    live.numTokens = 0;
  }

  #event({ track: { tid }, name, startMs, endMs, args }: Slice): TraceSlice {
    // Both ends are rounded, so that slices which touch still do.
    const ts = Math.round(1000 * (startMs - this.#startMs));
    const dur = Math.round(1000 * (endMs - this.#startMs)) - ts;
    return { ph: "X", name, pid: PID, tid, ts, dur, args };
  }
}

const isWaiting = ({ phase }: LiveTrack): boolean => phase === "queued" || phase === "preempted";

/** A chunk's slice is complete as soon as it is known. */
function openSlice(
  { track, phase, sinceMs, numTokens }: LiveTrack,
  endMs: number,
  more: TraceSlice["args"] = {},
): Slice | undefined {
  if (phase === "prefill") return undefined;
  const args = phase === "decode" ? { tokens: numTokens, ...more } : more;
  return { track, name: phase, startMs: sinceMs, endMs, args };
}

const namesOf = ({ tid, name, client }: Track): TraceName[] => [
  { ph: "M", name: "thread_name", pid: PID, tid, args: { name, ...(client && { client }) } },
  { ph: "M", name: "thread_sort_index", pid: PID, tid, args: { sort_index: tid } },
];
