/** Why the cluster did not answer, in words that name no secret. */
export type ClusterFault =
  /** No connection, or none in time; a server error. */
  | "unreachable"
  /** It asks to come back later: 429, 503. */
  | "busy"
  /** It will not have this request, whoever sends it: 400, 404, 413, 422. */
  | "rejected"
  /** The key is wrong: 401, 403. */
  | "unauthorized"
  /** What came is no answer, or breaks off. */
  | "broken";

export class ClusterError extends Error {
  override readonly name = "ClusterError";
  readonly fault: ClusterFault;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    fault: ClusterFault,
    message: string,
    {
      status,
      retryAfterMs,
      cause,
    }: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  /** It says something of the cluster's health, not of the request. */
  get isFailure(): boolean {
    return this.fault !== "rejected";
  }
}

/** Milliseconds of a `Retry-After` in seconds or as a date; undefined for anything else. */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, 1000 * seconds);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

export function faultOf(status: number): ClusterFault {
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 408 || status === 425 || status === 429 || status === 503) return "busy";
  return status >= 500 ? "unreachable" : "rejected";
}
