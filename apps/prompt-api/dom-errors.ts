/** Errors as the Prompt API has them: DOMExceptions by name. What Weft says of the cause stays in the message. */
import { WeftError, type WeftErrorCode } from "../../worker.ts";

const NAMES: Readonly<Partial<Record<WeftErrorCode, string>>> = {
  aborted: "AbortError",
  bad_request: "NotSupportedError",
  unsupported_model: "NotSupportedError",
  no_adapter: "NotSupportedError",
  no_chat_template: "NotSupportedError",
  chat_template_failed: "NotSupportedError",
  model_not_found: "NotSupportedError",
  engine_closed: "InvalidStateError",
  file_not_found: "NetworkError",
  read_failed: "NetworkError",
  quota_exceeded: "QuotaExceededError",
  request_too_long: "QuotaExceededError",
};

export function domError(name: string, message: string, cause?: unknown): DOMException {
  const error = new DOMException(message, name);
  return cause === undefined ? error : Object.assign(error, { cause });
}

/** @param signal Of the caller: its own reason is what it gets back. */
export function domErrorOf(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (!(error instanceof WeftError)) return error;
  return domError(NAMES[error.code] ?? "OperationError", error.message, error);
}

export const destroyedError = (): DOMException =>
  domError("InvalidStateError", "the session was destroyed; create another");

/** @param requested Tokens, as `quota`. */
export function quotaError(requested: number, quota: number): DOMException {
  const message =
    `the input takes ${requested} tokens together with the initial prompts, and the context window has room ` +
    `for ${quota}; shorten it`;
  return Object.assign(domError("QuotaExceededError", message), { requested, quota });
}
