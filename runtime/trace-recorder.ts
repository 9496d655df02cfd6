/**
 * What an engine did lately, as slices of tracks: one per request (queued, prefill, decode, preempted) and one
 * for the GPU. Keeps the latest alone; trace.ts makes of them what others read.
 */
import type { PlannedRow, SequenceId, WorkPlan } from "../scheduler/work-plan.ts";
import type { SequenceStart } from "./live-sequence.ts";
import { ON_DEVICE, type Slice, SliceLog, type Track } from "./slice-log.ts";

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

export class TraceRecorder {
  readonly #live = new Map<SequenceId, LiveTrack>();
  readonly #slices = new SliceLog(MOST_SLICES);

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

  /** @param fromMs Only what ended later. */
  slices(nowMs: number, fromMs: number): Slice[] {
    const slices = [...this.#slices].filter(({ endMs }) => endMs > fromMs);
    for (const live of this.#live.values()) {
      const open = openSlice(live, isWaiting(live) ? Math.max(nowMs, live.sinceMs) : live.untilMs);
      if (open !== undefined) slices.push(open);
    }
    return slices;
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
}

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
