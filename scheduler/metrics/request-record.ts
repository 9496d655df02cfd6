/**
 * What a request's figures are made of: when it came, when its tokens did, and what it cost beside.
 * Plain data that grows while the request lives; whoever serves it writes it.
 */
import type { Priority } from "../priority.ts";

/** Times are milliseconds on one clock. */
export interface RequestRecord {
  readonly id: number;
  readonly priority: Priority;
  readonly client: string;
  readonly arrivalMs: number;
  readonly numPromptTokens: number;
  /** When its first row was planned. */
  startedMs: number | undefined;
  /** When each sampled token became visible to the application, ascending. */
  readonly tokenMs: number[];
  numPreemptions: number;
  /** Computed for a second or later time, since a preemption lost them. */
  numRecomputedTokens: number;
  /** Of its prompt, found in the prefix cache when it first started. */
  numPrefixHitTokens: number;
  /** Not until it ends. "aborted" by its caller or by a later completion; "rejected" when it came. */
  end: "finished" | "aborted" | "rejected" | undefined;
}

/** Of a request that has just come. */
export function requestRecord(
  request: Pick<RequestRecord, "id" | "arrivalMs" | "numPromptTokens"> &
    Partial<Pick<RequestRecord, "priority" | "client">>,
): RequestRecord {
  const { id, arrivalMs, numPromptTokens, priority = "interactive", client = "" } = request;
  return {
    ...{ id, priority, client, arrivalMs, numPromptTokens },
    startedMs: undefined,
    tokenMs: [],
    numPreemptions: 0,
    numRecomputedTokens: 0,
    numPrefixHitTokens: 0,
    end: undefined,
  };
}
