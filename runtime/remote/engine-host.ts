/**
 * The side of a port that has the engine: answers what users ask, sends chunks as fast as they are read,
 * and forgets all of a user who is gone. Owns no engine: the pool does.
 */
import type { HostedEngine } from "../engine-api.ts";
import { WeftError } from "../errors.ts";
import { EnginePool, type Lease } from "./engine-pool.ts";
import { HostStream } from "./host-stream.ts";
import { type FromHost, PROTOCOL_VERSION, type StreamStart, type ToHost } from "./messages.ts";
import type { OpenHosted } from "./open-hosted.ts";
import type { Port } from "./port.ts";
import { absence, bePresent } from "./presence.ts";

export class EngineHost {
  readonly #pool: EnginePool;

  constructor(open: OpenHosted) {
    this.#pool = new EnginePool(open);
  }

  /** One user more. It is forgotten when its port says that it is gone. */
  serve(port: Port): void {
    const user = new HostedUser(port, this.#pool);
    void port.gone.then(() => user.leave());
    port.listen((message) => user.receive(message as ToHost | null));
  }
}

class HostedUser {
  readonly #port: Port;
  readonly #pool: EnginePool;
  /** Of calls that have not been answered. */
  readonly #aborts = new Map<number, AbortController>();
  readonly #streams = new Map<number, HostStream>();
  #lease: Lease | undefined;
  #unlisten: (() => void) | undefined;
  #isGreeted = false;
  #isGone = false;

  constructor(port: Port, pool: EnginePool) {
    this.#port = port;
    this.#pool = pool;
  }

  /** Of what else may come by a port, nothing is of its kind. */
  receive(message: ToHost | null): void {
    if (message?.type === "hello") {
      void this.#greet(message.version, message.lock);
      return;
    }
    // An older user begins with something else, and has no words for what is wrong.
    if (!this.#isGreeted || !message) return;
    switch (message.type) {
      case "open":
        this.#answer(message.call, (signal) => this.#open(message, signal));
        return;
      case "start":
        this.#answer(message.call, (signal) => this.#stream(message, signal));
        return;
      case "ask":
        this.#answer(message.call, (signal) => this.#ask(message, signal));
        return;
      case "credit":
        this.#streams.get(message.call)?.grant(message.chunks);
        return;
      case "cancel":
        this.#aborts.get(message.call)?.abort(message.reason);
        return;
      case "page":
        this.#lease?.engine.pace.report(this, message.state);
        return;
      case "close":
        this.#answer(message.call, () => this.leave());
        return;
      default:
        message satisfies never;
    }
  }

  /** Its requests end, and so does its share in the engine. */
  async leave(): Promise<void> {
    this.#isGone = true;
    for (const abort of this.#aborts.values()) abort.abort("its user is gone");
    const lease = this.#lease;
    this.#lease = undefined;
    this.#unlisten?.();
    lease?.engine.pace.leave(this);
    await lease?.release();
  }

  async #greet(version: number, lock: string | undefined): Promise<void> {
    const presence = await bePresent();
    this.#post({ type: "hello", version: PROTOCOL_VERSION, lock: presence.lock });
    this.#isGreeted = version === PROTOCOL_VERSION;
    if (!this.#isGreeted) return;
    void absence(lock).then(() => {
      presence.leave();
      return this.leave();
    });
  }

  /** Runs it, and says how it ended. */
  #answer(call: number, run: (signal: AbortSignal) => unknown): void {
    const abort = new AbortController();
    this.#aborts.set(call, abort);
    Promise.resolve()
      .then(() => run(abort.signal))
      .then(
        (value) => this.#post({ type: "result", call, value }),
        (error) => this.#post({ type: "error", call, error: WeftError.from(error).toJSON() }),
      )
      .finally(() => {
        this.#aborts.delete(call);
        this.#streams.delete(call);
      });
  }

  async #open({ call, options }: ToHost & { type: "open" }, signal: AbortSignal): Promise<void> {
    if (this.#lease)
      throw new WeftError("internal", "a port carries one engine; open another port");
    const onProgress = (progress: (FromHost & { type: "progress" })["progress"]) =>
      this.#post({ type: "progress", call, progress });
    const lease = await this.#pool.acquire(options, onProgress, signal);
    if (this.#isGone || signal.aborted) {
      await lease.release();
      throw new WeftError("aborted", `aborted by the caller: ${signal.reason ?? "it is gone"}`);
    }
    this.#lease = lease;
    // One that has no page says nothing of it, and waits for its answers while the pages of others are frozen.
    lease.engine.pace.report(this, { visibility: "visible" });
    this.#post({ type: "opened", call, info: lease.engine.info });
    this.#unlisten = lease.engine.onMove((info) => this.#post({ type: "info", info }));
  }

  async #stream(message: ToHost & { type: "start" }, signal: AbortSignal): Promise<void> {
    const { engine } = this.#opened;
    const { call } = message;
    const chunks = await started(engine, message, signal);
    const stream = new HostStream((batch) => this.#post({ type: "chunks", call, chunks: batch }));
    this.#streams.set(call, stream);
    await stream.run(chunks, signal);
  }

  #ask(message: ToHost & { type: "ask" }, signal: AbortSignal): unknown {
    const { engine } = this.#opened;
    switch (message.method) {
      case "embeddings":
        return engine.embeddings.create(message.request, { signal });
      case "metrics":
        return engine.metrics();
      case "gauges":
        return engine.gauges(message.model);
      case "models":
        return engine.models.list();
      case "trace":
        return engine.trace(message.options);
      case "kvMap":
        return engine.kvMap();
      case "hold":
        return engine.hold(message.session, message.ms);
      case "release":
        return engine.release(message.session);
    }
  }

  get #opened(): Lease {
    if (this.#lease) return this.#lease;
    throw new WeftError("engine_closed", "no engine is open on this port; create one");
  }

  #post(message: FromHost): void {
    if (!this.#isGone || message.type === "result") this.#port.post(message);
  }
}

/** With the usage in any case: its user keeps what was asked for. */
function started(
  engine: HostedEngine,
  { method, request }: StreamStart,
  signal: AbortSignal,
): AsyncIterable<unknown> | Promise<AsyncIterable<unknown>> {
  if (method === "generate") return engine.generate(request, { signal });
  const streaming = { stream: true, stream_options: { include_usage: true } } as const;
  return method === "chat"
    ? engine.chat.completions.create({ ...request, ...streaming }, { signal })
    : engine.completions.create({ ...request, ...streaming }, { signal });
}
