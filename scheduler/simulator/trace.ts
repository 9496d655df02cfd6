/** A request of a trace: when it came and how many tokens it had. No text. */
import type { Priority } from "../priority.ts";

export interface TraceRequest {
  /** Since the trace's first request. */
  readonly arrivalMs: number;
  readonly numPromptTokens: number;
  /** At least 1. */
  readonly outputTokens: number;
  /** What it allows; default the longest answer of the trace, 1,024 at least. */
  readonly maxTokens?: number;
  /** Of each 512 prompt tokens, where the trace says; equal from the start on, equal prompts. */
  readonly prefixHashes?: readonly number[];
  /** Traces say none of these; workloads made in code may. */
  readonly priority?: Priority;
  readonly deadlineMs?: number;
  readonly client?: string;
  readonly program?: string;
  readonly session?: string;
  /**
   * It comes `arrivalMs` after that request's end, by its place in the list, and its prompt begins
   * with that one's prompt and answer: both are of one session.
   */
  readonly after?: number;
  /** Its session holds what it has for so long when it ends. */
  readonly holdMs?: number;
}
