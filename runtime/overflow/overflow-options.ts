/** Where requests go that this engine has no room for, and when. Plain data. */
import { WeftError } from "../errors.ts";
import { refuse } from "../request.ts";

export interface OverflowOptions {
  /** Of an OpenAI-compatible server, with its version: `https://cluster.example.org/v1`. */
  readonly baseURL: string;
  /** Sent as a bearer token, and nowhere else: no error and no metric has it. */
  readonly apiKey?: string;
  /** What the cluster calls the model. Default: as here where it has one of that name, else its first. */
  readonly model?: string;
  readonly when?: OverflowWhen;
  readonly timeouts?: OverflowTimeouts;
}

/** Any of them is enough. */
export interface OverflowWhen {
  /** The wait that is predicted here is longer than so many milliseconds. Default 2,000. */
  readonly queueMs?: number;
  /** The predicted wait is longer than the request's `deadline_ms`. Default true. */
  readonly deadline?: boolean;
  /** The request is too long for this engine. Default true. */
  readonly context?: boolean;
  /** The request names a model that is not here, and the cluster has it. Default true. */
  readonly model?: boolean;
}

/** Milliseconds. */
export interface OverflowTimeouts {
  /** Until its list of models comes, and of vLLM the head of an answer. Default 10,000. */
  readonly connectMs?: number;
  /** Until the first chunk of an answer: it may have a queue. Default 60,000. */
  readonly firstChunkMs?: number;
  /** Between its bytes. Default 30,000. */
  readonly idleMs?: number;
}

export interface ResolvedOverflow {
  readonly baseURL: string;
  readonly model: string | undefined;
  readonly when: Required<OverflowWhen>;
  readonly timeouts: Required<OverflowTimeouts>;
}

/** @throws {WeftError} `bad_request` that names the option. */
export function resolveOverflow(options: OverflowOptions): ResolvedOverflow {
  if (typeof options !== "object" || options === null) refuse("overflow", options, "an object");
  const { baseURL, apiKey, model, when = {}, timeouts = {} } = options;
  if (apiKey !== undefined && typeof apiKey !== "string") {
    // Whatever it is, it may be a secret.
    throw new WeftError(
      "bad_request",
      "overflow.apiKey is no text, it must be one; change the option",
    );
  }
  if (model !== undefined && typeof model !== "string") refuse("overflow.model", model, "a text");
  const { queueMs = 2_000, deadline = true, context = true, model: ofModel = true } = when;
  if (!(queueMs >= 0)) refuse("overflow.when.queueMs", queueMs, "a number from 0 up");
  const { connectMs = 10_000, firstChunkMs = 60_000, idleMs = 30_000 } = timeouts;
  for (const [name, ms] of Object.entries({ connectMs, firstChunkMs, idleMs })) {
    if (!(ms > 0)) refuse(`overflow.timeouts.${name}`, ms, "a number above 0");
  }
  return {
    ...{ baseURL: checkedURL(baseURL), model },
    when: { queueMs, deadline, context, model: ofModel },
    timeouts: { connectMs, firstChunkMs, idleMs },
  };
}

function checkedURL(baseURL: unknown): string {
  const base = globalThis.location?.href;
  const url = typeof baseURL === "string" && URL.canParse(baseURL, base) && new URL(baseURL, base);
  if (!url || !/^https?:$/.test(url.protocol)) {
    return refuse("overflow.baseURL", baseURL, "an http(s) URL, with its /v1");
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new WeftError(
      "bad_request",
      "overflow.baseURL has a user, a query or a fragment, it must have none; give the key as apiKey",
    );
  }
  return url.href.replace(/\/+$/, "");
}
