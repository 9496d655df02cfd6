/** The engine's trace as lanes to draw: one for the GPU, one for each client. Pure. */
import type { Trace, TraceEvent } from "../../worker.ts";

import { shownName } from "./labels.ts";

export type Phase = "queued" | "prefill" | "decode" | "preempted";

/** Milliseconds since the engine was created. */
export interface PlanSlice {
  readonly fromMs: number;
  readonly toMs: number;
  readonly rows: number;
  readonly tokens: number;
  /** Requests that it took back. */
  readonly preempted: number;
}

export interface PhaseSlice {
  readonly phase: Phase;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface TracedRequest {
  readonly id: number;
  readonly client: string;
  readonly priority: string;
  readonly promptTokens: number;
  /** Of the answer, as far as the trace goes back. */
  readonly tokens: number;
  readonly preemptions: number;
  readonly hasEnded: boolean;
  readonly slices: readonly PhaseSlice[];
}

export interface Lane {
  readonly client: string;
  /** In order of arrival; they may overlap where a client asks for several at once. */
  readonly requests: readonly TracedRequest[];
}

const GPU_TRACK = 0;

export const planSlices = ({ traceEvents }: Trace): PlanSlice[] =>
  traceEvents.flatMap((event) => {
    if (event.ph !== "X" || event.tid !== GPU_TRACK) return [];
    const { rows, tokens, preempted } = event.args;
    return { ...span(event), rows: +rows, tokens: +tokens, preempted: +preempted };
  });

/** Lanes by name: A, B, …, then load 1, load 2, …; requests without a client have one each. */
export function lanesOf({ traceEvents }: Trace): Lane[] {
  const slices = new Map<number, TraceSliceEvent[]>();
  for (const event of traceEvents) {
    if (event.ph !== "X" || event.tid === GPU_TRACK) continue;
    const own = slices.get(event.tid);
    if (own) own.push(event);
    else slices.set(event.tid, [event]);
  }
  const lanes = new Map<string, TracedRequest[]>();
  for (const event of traceEvents) {
    if (event.ph !== "M" || event.name !== "thread_name" || event.tid === GPU_TRACK) continue;
    if (!("name" in event.args)) continue;
    const { name } = event.args;
    const client = shownName(event.args.client ?? `request ${event.tid}`);
    const request = tracedRequest(event.tid, client, name, slices.get(event.tid) ?? []);
    lanes.set(client, [...(lanes.get(client) ?? []), request]);
  }
  return [...lanes]
    .map(([client, requests]) => ({ client, requests: requests.sort((a, b) => a.id - b.id) }))
    .sort((a, b) => a.client.localeCompare(b.client, "en", { numeric: true }));
}

type TraceSliceEvent = Extract<TraceEvent, { readonly ph: "X" }>;

function tracedRequest(
  id: number,
  client: string,
  name: string,
  events: readonly TraceSliceEvent[],
): TracedRequest {
  // "request 5: agent, 32 prompt tokens"
  const [, priority = "", promptTokens = "0"] = /: (\w+), (\d+) prompt/.exec(name) ?? [];
  const slices = events
    .map((event) => ({ phase: event.name as Phase, ...span(event) }))
    .sort((a, b) => a.fromMs - b.fromMs);
  const sampled = events.reduce(
    (sum, { name: phase, args }) => sum + (phase === "decode" ? +args.tokens : 0),
    0,
  );
  return {
    ...{ id, client, priority, slices, promptTokens: +promptTokens },
    // The first token comes with the prompt.
    tokens: sampled + (slices.some(({ phase }) => phase === "decode") ? 1 : 0),
    hasEnded: events.some(({ args }) => args.end !== undefined),
    preemptions: slices.filter(({ phase }) => phase === "preempted").length,
  };
}

const span = ({ ts, dur }: TraceSliceEvent) => ({ fromMs: ts / 1000, toMs: (ts + dur) / 1000 });
