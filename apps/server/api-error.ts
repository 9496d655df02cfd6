/**
 * What a caller is told when a request fails: OpenAI's error object and its status, so that OpenAI's clients
 * throw their own classes. Owns the table from Weft's codes; what a caller cannot mend is not told in detail.
 */
import { WeftError, type WeftErrorCode } from "../../worker.ts";

export interface ApiErrorDetails {
  /** As OpenAI names it, or Weft's code. */
  readonly code: string;
  /** The request's field that is to blame. */
  readonly param?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  /** @param message What, actual, required and cure. */
  constructor(status: number, message: string, { code, param, headers }: ApiErrorDetails) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param ?? null;
    this.headers = headers ?? {};
  }

  get body() {
    const { message, code, param, status } = this;
    return { error: { message, type: typeOf(status), param, code } };
  }

  get response(): Response {
    return Response.json(this.body, { status: this.status, headers: this.headers });
  }
}

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  429: "rate_limit_error",
};
const typeOf = (status: number): string =>
  TYPES[status] ?? (status >= 500 ? "server_error" : "invalid_request_error");

interface Told {
  readonly status: number;
  /** What OpenAI calls it. */
  readonly code?: string;
  /** Its message says nothing of this machine and helps a caller. */
  readonly isOpen?: true;
  /** Whether to ask the same again makes sense, where the status does not say it. */
  readonly retry?: boolean;
}

const caller = (status = 400, code?: string): Told => ({ status, code, isOpen: true });
const fault: Told = { status: 500, retry: false };
/** Gone soon, or with the next device. */
const passing: Told = { status: 503, retry: true };

/** Every code there is: a new one must be thought of here. */
const TOLD: Readonly<Record<WeftErrorCode, Told>> = {
  bad_request: caller(),
  request_too_long: caller(400, "context_length_exceeded"),
  model_not_found: caller(404),
  no_chat_template: caller(),
  chat_template_failed: caller(),
  aborted: caller(499),
  superseded: { ...caller(409), retry: false },
  engine_closed: { ...passing, isOpen: true },
  device_lost: passing,
  device_error: passing,
  out_of_memory: passing,
  worker_failed: passing,
  // Of another machine: what it said may tell of it.
  cluster_failed: { status: 502, retry: true },
  stream_broken: { status: 502, retry: true },
  read_failed: passing,
  file_changed: fault,
  file_not_found: fault,
  file_truncated: fault,
  file_corrupt: fault,
  ranges_unsupported: fault,
  quota_exceeded: fault,
  store_failed: fault,
  bad_file: fault,
  bad_safetensors: fault,
  bad_gguf: fault,
  missing_tensor: fault,
  unsupported_dtype: fault,
  unsupported_model: fault,
  bad_tokenizer: fault,
  no_adapter: fault,
  kernel_rejected: fault,
  limit_exceeded: fault,
  memory_budget_too_small: fault,
  protocol_mismatch: fault,
  bad_kernel: fault,
  bad_shape: fault,
  missing_dim: fault,
  unsupported: fault,
  bad_config: fault,
  bad_outcome: fault,
  bad_trace: fault,
  unknown_sequence: fault,
  internal: fault,
};

/**
 * @param request Whose field the message may begin with.
 * @param requestId Under which a fault's cause is told to whoever runs the server.
 */
export function apiError(error: unknown, requestId: string, request?: object): ApiError {
  if (error instanceof ApiError) return error;
  const { code, message, cause } = WeftError.from(error);
  // An abort of the server's own has its reason.
  if (code === "aborted" && cause instanceof ApiError) return cause;
  const { status, code: openAiCode = code, isOpen, retry } = TOLD[code] ?? fault;
  const text = isOpen
    ? message
    : `the server failed with ${code}; ${retry ? "ask again, and if it stays so, " : ""}` +
      `whoever runs it finds the cause under ${requestId}`;
  return new ApiError(status, text, {
    code: openAiCode,
    param: isOpen ? paramOf(message, request) : null,
    headers: retry === undefined ? {} : { "x-should-retry": `${retry}` },
  });
}

/** Messages about a value begin with its name. */
function paramOf(message: string, request: object = {}): string | null {
  const [name = "", field = ""] = /^([a-z_]+)[\w.[\]]* is /.exec(message) ?? [];
  return Object.hasOwn(request, field) ? name.slice(0, -" is ".length) : null;
}
