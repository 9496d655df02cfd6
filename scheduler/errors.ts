/** Errors of the scheduler folder. The public door turns them into `WeftError` of the same code. */
export type SchedulerErrorCode =
  | "bad_request"
  | "bad_outcome"
  | "bad_trace"
  | "request_too_long"
  | "unknown_sequence"
  | "bad_config"
  | "bad_trace";

export class SchedulerError extends Error {
  override readonly name = "SchedulerError";
  readonly code: SchedulerErrorCode;
  /** @param message What, actual, required and cure. */
  constructor(code: SchedulerErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
