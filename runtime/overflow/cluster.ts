/**
 * An OpenAI-compatible server: asks it, and reads its answer chunk by chunk. Owns the key, the time
 * limits and what the server is; whether it is asked is not its business.
 */
import { onAbort } from "../abort-listeners.ts";
import { reasonOf } from "../errors.ts";
import { ClusterError, faultOf, retryAfterMs } from "./cluster-error.ts";
import { EventStream } from "./event-stream.ts";
import type { ResolvedOverflow } from "./overflow-options.ts";

/** What it is, as far as it says so: what it takes beyond OpenAI's fields depends on it. */
export type ClusterKind = "vllm" | "sglang" | "weft" | "other";

export interface ClusterModels {
  readonly kind: ClusterKind;
  readonly ids: readonly string[];
}

/** Of an error's body, what is read. */
const MOST_ERROR_CHARACTERS = 4096;

export class Cluster {
  readonly #options: ResolvedOverflow;
  readonly #apiKey: string | undefined;
  #models: Promise<ClusterModels> | undefined;

  constructor(options: ResolvedOverflow, apiKey: string | undefined) {
    this.#options = options;
    this.#apiKey = apiKey;
  }

  /** Asked once, and again after a failure. @throws {ClusterError} */
  models(): Promise<ClusterModels> {
    this.#models ??= this.#askModels();
    this.#models.catch(() => {
      this.#models = undefined;
    });
    return this.#models;
  }

  /** Whether it answers at all. @throws {ClusterError} */
  async probe(): Promise<void> {
    this.#models = undefined;
    await this.models();
  }

  /**
   * @param body With `stream: true`.
   * @throws {ClusterError}, also in mid-stream; what the signal's abort makes of fetch.
   */
  async *chunks(
    path: string,
    body: object,
    kind: ClusterKind,
    signal: AbortSignal,
  ): AsyncGenerator<Record<string, unknown>, void, undefined> {
    const { connectMs, firstChunkMs, idleMs } = this.#options.timeouts;
    const watch = new Watch(signal);
    try {
      // Others than vLLM send the head with the first chunk, so that a refusal may have a status.
      watch.expect(kind === "vllm" ? connectMs : firstChunkMs, "it did not answer");
      const response = await this.#fetch(path, { method: "POST", body, signal: watch.signal });
      const type = response.headers.get("content-type") ?? "nothing";
      if (!response.body || !type.startsWith("text/event-stream")) {
        throw new ClusterError("broken", `it answered with ${type}, no stream of events`);
      }
      const events = new EventStream();
      const reader = response.body.getReader();
      const firstUntilMs = performance.now() + firstChunkMs;
      let hasBegun = false;
      for (;;) {
        if (hasBegun) watch.expect(idleMs, "it fell silent");
        else
          watch.expect(firstUntilMs - performance.now(), "its answer did not begin", firstChunkMs);
        const { done, value } = await reader.read();
        // Its reader may take its time.
        watch.rest();
        if (done) return;
        for (const data of events.push(value)) {
          if (data === "[DONE]") return;
          hasBegun = true;
          yield chunkOf(data);
        }
      }
    } catch (error) {
      throw this.#failure(watch.reason ?? error);
    } finally {
      watch.stop();
    }
  }

  /** Asked and answered at once. @throws {ClusterError} */
  async json(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    const { firstChunkMs } = this.#options.timeouts;
    const watch = new Watch(signal);
    try {
      watch.expect(firstChunkMs, "it did not answer");
      const response = await this.#fetch(path, { method: "POST", body, signal: watch.signal });
      return await response.json();
    } catch (error) {
      throw this.#failure(watch.reason ?? error);
    } finally {
      watch.stop();
    }
  }

  async #askModels(): Promise<ClusterModels> {
    const { connectMs } = this.#options.timeouts;
    const watch = new Watch();
    try {
      watch.expect(connectMs, "it did not answer");
      const response = await this.#fetch("/models", { signal: watch.signal });
      const { data } = (await response.json()) as { data?: unknown };
      const models = (Array.isArray(data) ? data : []) as { id?: unknown; owned_by?: unknown }[];
      const owners = models.map((model) => model?.owned_by);
      const kind = (["vllm", "sglang", "weft"] as const).find((owner) => owners.includes(owner));
      const ids = models.map((model) => model?.id).filter((id) => typeof id === "string");
      return { kind: kind ?? "other", ids };
    } catch (error) {
      const failure = this.#failure(watch.reason ?? error);
      // Not all of them have a list.
      if (failure.status === 404 || failure.status === 405) return { kind: "other", ids: [] };
      throw failure;
    } finally {
      watch.stop();
    }
  }

  async #fetch(
    path: string,
    { method = "GET", body, signal }: { method?: string; body?: object; signal: AbortSignal },
  ): Promise<Response> {
    const response = await fetch(this.#options.baseURL + path, {
      ...{ method, signal, redirect: "error", credentials: "omit", cache: "no-store" },
      headers: {
        accept: "stream" in (body ?? {}) ? "text/event-stream" : "application/json",
        ...(body && { "content-type": "application/json" }),
        ...(this.#apiKey && { authorization: `Bearer ${this.#apiKey}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (response.ok) return response;
    const { status, headers } = response;
    const asked = retryAfterMs(headers.get("retry-after"), Date.now());
    const said = await errorText(response);
    const message = `it answered ${status}${said ? `: ${said}` : ""}`;
    throw new ClusterError(faultOf(status), message, { status, retryAfterMs: asked });
  }

  /** Anything thrown, without the key. */
  #failure(error: unknown): ClusterError {
    const known = error instanceof ClusterError ? error : undefined;
    const message = known?.message ?? `it could not be reached: ${causes(error)}`;
    const { fault = "unreachable", status, retryAfterMs } = known ?? {};
    const safe = this.#apiKey ? message.replaceAll(this.#apiKey, "…") : message;
    return new ClusterError(fault, safe, { status, retryAfterMs });
  }
}

/** A signal that is given up with the caller's, or when what is expected does not come in time. */
class Watch {
  readonly #abort = new AbortController();
  readonly #ignore: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  reason: ClusterError | undefined;

  constructor(signal?: AbortSignal) {
    this.#ignore = onAbort(signal, () => this.#abort.abort());
    if (signal?.aborted) this.#abort.abort();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** @param allMs What the caller was promised, where a part of it is over. */
  expect(ms: number, failure: string, allMs = ms): void {
    this.rest();
    this.#timer = setTimeout(() => {
      this.reason = new ClusterError("unreachable", `${failure} within ${allMs} ms`);
      this.#abort.abort();
    }, ms);
  }

  rest(): void {
    clearTimeout(this.#timer);
  }

  /** Ends what still runs, too. */
  stop(): void {
    this.rest();
    this.#ignore();
    this.#abort.abort();
  }
}

function chunkOf(data: string): Record<string, unknown> {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch {
    throw new ClusterError("broken", `an event of its stream is no JSON: ${data.slice(0, 80)}`);
  }
  if (typeof chunk !== "object" || chunk === null) {
    throw new ClusterError("broken", `an event of its stream is no object: ${data.slice(0, 80)}`);
  }
  const { error } = chunk as { error?: unknown };
  if (error) throw new ClusterError("broken", `it failed: ${messageOf(error)}`);
  return chunk as Record<string, unknown>;
}

/** What the body of a refusal says, the beginning of it. */
async function errorText(response: Response): Promise<string> {
  const text = await firstText(response).catch(() => "");
  try {
    const parsed = JSON.parse(text) as { error?: unknown; message?: unknown; detail?: unknown };
    return messageOf(parsed.error ?? parsed.message ?? parsed.detail ?? text);
  } catch {
    return text.slice(0, 300);
  }
}

async function firstText({ body }: Response): Promise<string> {
  if (!body) return "";
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  while (text.length < MOST_ERROR_CHARACTERS) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
  void reader.cancel().catch(() => {});
  return text;
}

function messageOf(error: unknown): string {
  const { message } = (error ?? {}) as { message?: unknown };
  const words = typeof message === "string" ? message : error;
  return (typeof words === "string" ? words : (JSON.stringify(words) ?? "")).slice(0, 300);
}

/** fetch says little itself: what failed is its cause. */
function causes(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const { code } = (cause ?? {}) as { code?: unknown };
  const inner = cause === undefined ? "" : ` (${code ?? reasonOf(cause)})`;
  return `${reasonOf(error)}${inner}`;
}
