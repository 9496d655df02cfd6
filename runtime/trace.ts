/**
 * What an engine did lately, to look at: trace-event JSON for Perfetto and chrome://tracing. Loaded when it is
 * asked for.
 *
 * @see Trace Event Format (Google), complete and metadata events.
 */
import { ON_DEVICE, SLICE_NUMBERS, type Slice, type Track } from "./slice-log.ts";

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

/** What a trace is made of. */
export interface Traced {
  readonly slices: readonly Slice[];
  /** When the engine was created. */
  readonly startMs: number;
  readonly model: string;
  readonly adapter: string;
}

const PID = 1;

export function traceOf({ slices, startMs, model, adapter }: Traced): Trace {
  const tracks = new Map(slices.map(({ track }) => [track.tid, track]));
  tracks.set(ON_DEVICE.tid, ON_DEVICE);
  return {
    displayTimeUnit: "ms",
    traceEvents: [
      { ph: "M", name: "process_name", pid: PID, tid: 0, args: { name: `Weft: ${model}` } },
      ...[...tracks.values()].flatMap((track) => namesOf(track, adapter)),
      ...slices.map((slice) => eventOf(slice, startMs)),
    ],
  };
}

function eventOf(slice: Slice, startMs: number): TraceSlice {
  const { tid } = slice.track;
  // Both ends are rounded, so that slices which touch still do.
  const ts = Math.round(1000 * (slice.startMs - startMs));
  const dur = Math.round(1000 * (slice.endMs - startMs)) - ts;
  return { ph: "X", name: nameOf(slice), pid: PID, tid, ts, dur, args: argsOf(slice) };
}

function namesOf({ tid, priority, numPromptTokens, client }: Track, adapter: string): TraceName[] {
  const name =
    tid === ON_DEVICE.tid
      ? `GPU: ${adapter}`
      : `request ${tid}: ${priority}, ${numPromptTokens} prompt tokens`;
  return [
    { ph: "M", name: "thread_name", pid: PID, tid, args: { name, ...(client && { client }) } },
    { ph: "M", name: "thread_sort_index", pid: PID, tid, args: { sort_index: tid } },
  ];
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
