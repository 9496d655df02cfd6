/** What a server is told, its defaults and their checks. Owns no sockets: those are listen.ts's. */
import { WeftError } from "../../worker.ts";

export interface HandlerOptions {
  /**
   * Whoever asks must name one of these, as `Authorization: Bearer KEY`; `/health` alone is open. Each is a
   * client of its own: they get equal shares of the GPU, and share no cached prefixes. None: whoever may
   * connect may ask.
   */
  readonly apiKeys?: readonly string[];
  /**
   * Names under which the server is asked, as in the Host header, with a port or for any: a page that has its
   * own name point here (DNS rebinding) is refused. Default: `localhost`, `127.0.0.1`, `[::1]`.
   */
  readonly hosts?: readonly string[];
  /** Origins whose pages may ask, such as `https://example.org`, or `*`. Default: none but the server's own. */
  readonly origins?: readonly string[];
  /** Of a request. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Answers under way, those that wait included; more are refused with 429. Default 256. */
  readonly maxConcurrent?: number;
  /** Of a prompt. Default: what the model's context holds. */
  readonly maxPromptTokens?: number;
  /** Of an answer; who asks for none gets this many. Default: what the context holds. */
  readonly maxCompletionTokens?: number;
  /** A request's body must have come within this. Default 30 s. */
  readonly bodyTimeoutMs?: number;
  /** An answer must have been given within this. Default 10 minutes. */
  readonly requestTimeoutMs?: number;
  /** A reader that takes nothing for so long has its answer aborted. Default 60 s. */
  readonly stallTimeoutMs?: number;
  /** Hears of what went wrong here and not at the caller: 5xx. Nothing of a request's headers or body is in it. */
  readonly onFault?: (fault: ServerFault) => void;
}

export interface ServerFault {
  /** As the caller was told, in `x-request-id`. */
  readonly requestId: string;
  /** `POST /v1/chat/completions`: of those that there are. */
  readonly route: string;
  readonly error: WeftError;
}

export type HandlerSettings = Required<
  Omit<HandlerOptions, "maxPromptTokens" | "maxCompletionTokens" | "onFault">
> &
  Pick<HandlerOptions, "maxPromptTokens" | "maxCompletionTokens" | "onFault">;

export const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

const DEFAULTS = {
  apiKeys: [],
  hosts: LOOPBACK_NAMES,
  origins: [],
  maxBodyBytes: 4 * 2 ** 20,
  maxConcurrent: 256,
  bodyTimeoutMs: 30_000,
  requestTimeoutMs: 600_000,
  stallTimeoutMs: 60_000,
} satisfies HandlerOptions;

/** The longest that a timer can be set to. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** @throws {WeftError} `bad_config` that names the option. */
export function handlerSettings(options: HandlerOptions = {}): HandlerSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const settings: HandlerSettings = { ...DEFAULTS, ...Object.fromEntries(given) };
  for (const key of settings.apiKeys) {
    // What a header can carry; shown by its length alone.
    if (/^[\x21-\x7e]+$/.test(key)) continue;
    refuse(
      "apiKeys",
      `a key of ${key.length} characters`,
      "visible ASCII characters, without spaces",
    );
  }
  for (const origin of settings.origins) {
    if (origin === "*" || origin === "null" || isOrigin(origin)) continue;
    refuse("origins", origin, "origins such as https://example.org, or *");
  }
  for (const host of settings.hosts) {
    if (/^([\w.-]+|\[[\da-f:.]+\])(:\d+)?$/i.test(host)) continue;
    refuse("hosts", host, "names such as example.org or example.org:8000, without a scheme");
  }
  for (const name of ["maxBodyBytes", "maxConcurrent"] as const) atLeastOne(name, settings[name]);
  for (const name of ["maxPromptTokens", "maxCompletionTokens"] as const) {
    if (settings[name] !== undefined) atLeastOne(name, settings[name]);
  }
  for (const name of ["bodyTimeoutMs", "requestTimeoutMs", "stallTimeoutMs"] as const) {
    const ms = settings[name];
    if (!(ms > 0 && ms <= MAX_TIMEOUT_MS))
      refuse(name, ms, `above 0 and at most ${MAX_TIMEOUT_MS}`);
  }
  return settings;
}

export const isOrigin = (text: string): boolean =>
  URL.canParse(text) && new URL(text).origin === text;

function atLeastOne(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) refuse(name, value, "an integer of 1 or more");
}

function refuse(name: string, actual: unknown, required: string): never {
  throw new WeftError(
    "bad_config",
    `${name} is ${actual}, it must be ${required}; change the option`,
  );
}
