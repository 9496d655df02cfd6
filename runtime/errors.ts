/**
 * The one error type of the public door and its codes. Leaves throw errors of the same shape, which
 * `WeftError.from` turns into this one; nothing else crosses the door.
 */
import { KernelError, type KernelErrorCode } from "../kernels/errors.ts";
import { ModelError, type ModelErrorCode } from "../models/errors.ts";
import { SchedulerError, type SchedulerErrorCode } from "../scheduler/errors.ts";

export type WeftErrorCode =
  | KernelErrorCode
  | ModelErrorCode
  | SchedulerErrorCode
  | DeviceErrorCode
  | LoadErrorCode
  | EngineErrorCode;

type DeviceErrorCode =
  /** No WebGPU here, or none of its adapters may be used. */
  | "no_adapter"
  /** The GPU went away; its buffers are gone. */
  | "device_lost"
  /** The device refused an operation that Weft had checked: a driver's fault or ours. */
  | "device_error"
  /** The driver refused to compile a kernel. */
  | "kernel_rejected"
  /** A size above what the device allows. */
  | "limit_exceeded"
  /** The device has no memory left. */
  | "out_of_memory"
  /** The memory budget cannot hold the weights and one sequence. */
  | "memory_budget_too_small";

type LoadErrorCode =
  /** A file of the model is not there. */
  | "file_not_found"
  /** The file system or the network failed, after retries. */
  | "read_failed"
  /** A file is shorter than its header or the server said, or changed while it was read. */
  | "file_truncated"
  | "file_changed"
  /** The server sends whole files only, and this one is large. */
  | "ranges_unsupported"
  /** The bytes of a file are not those that its publisher's hash, or the store's own, is of. */
  | "file_corrupt"
  /** The browser or the disk has no room for the model. */
  | "quota_exceeded"
  /** The files of the model store cannot be read or written. */
  | "store_failed"
  /** A JSON or text file of the model is broken, too large, or has an unusable name. */
  | "bad_file"
  /** A safetensors header that contradicts itself or the file. */
  | "bad_safetensors"
  /** A GGUF header that contradicts itself or the file, or lacks what its architecture needs. */
  | "bad_gguf"
  | "missing_tensor"
  | "unsupported_dtype"
  /** No model file of ours knows the `model_type`, or it has a setting we do not compute. */
  | "unsupported_model"
  | "bad_tokenizer"
  /** The model has no chat template. */
  | "no_chat_template"
  /** The template does not parse, refused these messages, or ran into a limit. */
  | "chat_template_failed"
  /** A request names a model that is not here. */
  | "model_not_found";

type EngineErrorCode =
  /** The caller's AbortSignal. */
  | "aborted"
  /** A later completion of the same client and program has come. */
  | "superseded"
  | "engine_closed"
  /** The worker that has the engine did not start, or was lost again and again. */
  | "worker_failed"
  /** A cluster that requests overflow to failed, and they could not be served here. */
  | "cluster_failed"
  /** An answer that was begun broke off elsewhere, and cannot be gone on with exactly. */
  | "stream_broken"
  /** The worker is of another release than the page. */
  | "protocol_mismatch"
  /** A fault of Weft's own. */
  | "internal";

/** What crosses a port: structured-cloneable, read back by `WeftError.fromJSON`. */
export interface WeftErrorData {
  readonly name: "WeftError";
  readonly code: WeftErrorCode;
  readonly message: string;
  /** Of `bad_request`: which part of the request. */
  readonly param?: string;
}

/**
 * What every promise, stream and call of the public doors fails with: a code to act on, and a message that says
 * what was wrong, what was required, and the cure.
 */
export class WeftError extends Error {
  override readonly name = "WeftError";
  readonly code: WeftErrorCode;
  /** Of `bad_request`: which part of the request, where it is one. */
  readonly param: string | undefined;

  /** @param message What, actual, required and cure. */
  constructor(
    code: WeftErrorCode,
    message: string,
    { param, ...options }: ErrorOptions & { readonly param?: string } = {},
  ) {
    super(message, options);
    this.code = code;
    this.param = param;
  }

  toJSON(): WeftErrorData {
    const { name, code, message, param } = this;
    return { name, code, message, ...(param !== undefined && { param }) };
  }

  static fromJSON({ code, message, param }: WeftErrorData): WeftError {
    return new WeftError(code, message, { param });
  }

  /** Any thrown value as a WeftError: leaves keep their code, an unknown error is `internal`. */
  static from(error: unknown): WeftError {
    if (error instanceof WeftError) return error;
    if (
      error instanceof KernelError ||
      error instanceof ModelError ||
      error instanceof SchedulerError
    ) {
      return new WeftError(error.code, error.message, { cause: error });
    }
    const message = reasonOf(error);
    if (error instanceof Error && error.name === "AbortError") {
      return new WeftError("aborted", message, { cause: error });
    }
    return new WeftError("internal", `${message}; this is a fault of Weft, please report it`, {
      cause: error,
    });
  }
}

/** @throws {WeftError} `aborted`, with the signal's reason as cause. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal.reason);
}

export function abortError(reason: unknown): WeftError {
  return new WeftError("aborted", `aborted by the caller: ${reasonOf(reason)}`, { cause: reason });
}

/** The words of any thrown value. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const supersededError = (): WeftError =>
  new WeftError(
    "superseded",
    "a later completion of the same client and program has come, and only the latest is answered; " +
      "give requests that go on beside each other different clients or programs, or another priority",
  );
