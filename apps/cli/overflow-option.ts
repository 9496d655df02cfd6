/**
 * `--overflow`, `--overflow-when` and `--overflow-model`: the server that takes what there is no room for here,
 * and when. Owns how they are written, where its key comes from, and what is told of it at the start.
 */
import type { OverflowOptions, OverflowWhen } from "../../node.ts";
import { log, type Terminal } from "./command.ts";
import { type Option, UsageError, unknown } from "./option.ts";
import { text } from "./option-types.ts";

const REASONS = ["queue", "deadline", "context", "model"] as const;
/** Until the server has told what it has. */
const ANSWER_MS = 5_000;

/** `queue=500,context`: what is not named is no reason. */
const when: Option<OverflowWhen> = {
  value: "queue=MS,deadline,…",
  help: `why it is asked, one or more of ${REASONS.join(", ")}; default all, and queue=2000`,
  parse(given, name) {
    const asked = new Map<string, number | undefined>();
    for (const part of given.split(",")) {
      const [reason, value] = part.trim().split("=", 2);
      if (!REASONS.some((known) => known === reason)) {
        throw unknown(`reason of ${name}`, reason, REASONS);
      }
      if (asked.has(reason)) throw new UsageError(`${name} has ${reason} twice; leave one out`);
      asked.set(reason, value === undefined ? undefined : milliseconds(value, reason, name));
    }
    const [deadline, context, model] = ["deadline", "context", "model"].map((r) => asked.has(r));
    const queueMs = asked.has("queue") ? asked.get("queue") : Number.POSITIVE_INFINITY;
    return { ...(queueMs !== undefined && { queueMs }), deadline, context, model };
  },
};

const url: Option<string> = {
  value: "URL",
  help: "an OpenAI-compatible server for what there is no room for here; WEFT_OVERFLOW_KEY is its key",
  parse(given, name) {
    const { protocol, username, password, search, hash } = URL.canParse(given)
      ? new URL(given)
      : ({} as Partial<URL>);
    if (/^https?:$/.test(protocol ?? "") && !username && !password && !search && !hash)
      return given;
    // Not shown: it may have a key in it.
    throw new UsageError(
      `${name} must be an http(s) URL with its /v1, such as https://cluster.example.org/v1, without a user, ` +
        "query or fragment; change the value, and give the server's key as WEFT_OVERFLOW_KEY",
    );
  },
};

export const overflowOptions = {
  overflow: url,
  overflowModel: text("NAME", "what that server calls the model; default as here, else its first"),
  overflowWhen: when,
};

interface OverflowValues {
  readonly overflow?: string;
  readonly overflowModel?: string;
  readonly overflowWhen?: OverflowWhen;
}

/** @throws {UsageError} */
export function overflowOf(values: OverflowValues): OverflowOptions | undefined {
  const { overflow: baseURL, overflowModel: model, overflowWhen } = values;
  if (baseURL === undefined) {
    if (model === undefined && !overflowWhen) return undefined;
    const alone = overflowWhen ? "--overflow-when" : "--overflow-model";
    throw new UsageError(`${alone} is given without --overflow; add --overflow URL`);
  }
  const apiKey = process.env.WEFT_OVERFLOW_KEY?.trim() || undefined;
  return { baseURL, apiKey, model, when: overflowWhen };
}

/** A wrong address or key is better known now than at the first rush. */
export async function warnOfOverflow(
  { baseURL, apiKey, model }: OverflowOptions,
  terminal: Terminal,
): Promise<void> {
  const warn = (what: string) => log(terminal, `weft serve: WARNING: ${what}`);
  const { protocol, hostname } = new URL(baseURL);
  if (apiKey && protocol === "http:" && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)) {
    warn(`WEFT_OVERFLOW_KEY goes to ${hostname} unencrypted; give --overflow an https URL`);
  }
  try {
    const response = await fetch(`${baseURL.replace(/\/+$/, "")}/models`, {
      headers: apiKey ? { authorization: `Bearer ${apiKey}` } : {},
      redirect: "error",
      signal: AbortSignal.any([terminal.signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    if (!response.ok)
      return warn(`${baseURL} answers ${response.status}${cureOf(response.status)}`);
    const { data } = (await response.json()) as { data?: { id: string }[] };
    if (model === undefined || !data || data.some(({ id }) => id === model)) return;
    warn(`${baseURL} has no model ${model}, but ${data.map(({ id }) => id).join(", ")}`);
  } catch (error) {
    if (terminal.signal.aborted) return;
    const { cause, message } = error as Error;
    const reason = cause instanceof Error ? cause.message : message;
    warn(`${baseURL} does not answer yet (${reason}); until it does, what can stay here does`);
  }
}

const cureOf = (status: number): string =>
  status === 401 || status === 403
    ? ": is its key in WEFT_OVERFLOW_KEY?"
    : status === 404
      ? " when it is asked for its models: is the URL right, with its /v1?"
      : "";

function milliseconds(text: string, reason: string, name: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (reason === "queue" && ms >= 0) return ms;
  throw new UsageError(
    reason === "queue"
      ? `${name}: queue is ${JSON.stringify(text)}, it must be milliseconds, such as queue=500; change it`
      : `${name}: ${reason} takes no value, got ${JSON.stringify(text)}; leave it out`,
  );
}
