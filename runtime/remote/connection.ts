/**
 * One engine behind a port, kept up: dials, opens the engine, carries calls, and does it all again when
 * the host vanishes. Calls that had not ended are made once more; who waits for them hears nothing.
 */
import type { EngineInfo } from "../engine-api.ts";
import { reasonOf, WeftError } from "../errors.ts";
import type { PageState } from "../pacing/page-state.ts";
import type { LoadProgress } from "../weights/stream.ts";
import { type FromHost, PROTOCOL_VERSION, type ToHost } from "./messages.ts";
import type { Port } from "./port.ts";
import { absence, bePresent, type Presence } from "./presence.ts";
import type { AnyRemoteOptions } from "./remote-options.ts";

/** What is asked of a host, and who hears the answer. */
export interface Call {
  readonly message: CallMessage;
  onChunks?(chunks: readonly unknown[]): void;
  onResult(value: unknown): void;
  onError(error: WeftError): void;
  /** It is sent to another host. */
  onAgain?(): void;
}

type CallMessage = ToHost extends infer M
  ? M extends { readonly type: "start" | "ask" }
    ? Omit<M, "call">
    : never
  : never;

export interface ConnectionOptions {
  /** A connection to a host; a new host where the old one has vanished. */
  readonly dial: () => Port | Promise<Port>;
  readonly engine: AnyRemoteOptions;
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/** Hosts that vanish one after another without a chunk in between. */
const MOST_RESTARTS = 3;
const PAUSE_MS = 200;
/** The call that opens the engine, on every port. */
const OPEN = 0;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #calls = new Map<number, Call>();
  #nextCall = OPEN + 1;
  #port: Port | undefined;
  #presence: Presence | undefined;
  /** What the host was told last of the page. */
  #page: PageState | undefined;
  #info: EngineInfo | undefined;
  #isOpen = false;
  #numRestarts = 0;
  #failure: WeftError | undefined;

  private constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** @throws {WeftError} `worker_failed`, `protocol_mismatch`, and of every kind that loading can. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(options);
    connection.#presence = await bePresent();
    try {
      await connection.#connect();
    } catch (error) {
      connection.#end(WeftError.from(error));
      throw error;
    }
    return connection;
  }

  get info(): EngineInfo {
    return this.#info!;
  }

  get isBusy(): boolean {
    return this.#calls.size > 0;
  }

  /** @returns Its number, for `tell`. */
  call(call: Call): number {
    const number = this.#nextCall++;
    if (this.#failure) {
      call.onError(this.#failure);
      return number;
    }
    this.#calls.set(number, call);
    if (this.#isOpen) this.#send(number, call);
    return number;
  }

  /** About a call that has not ended; otherwise nothing. */
  tell(
    number: number,
    message: { type: "credit"; chunks: number } | { type: "cancel"; reason: string },
  ): void {
    if (this.#isOpen && this.#calls.has(number)) this.#port?.post({ ...message, call: number });
  }

  /** Nobody waits for it any more, whatever the host says. */
  drop(number: number): void {
    this.#calls.delete(number);
  }

  page(state: PageState): void {
    this.#page = state;
    if (this.#isOpen) this.#port?.post({ type: "page", state } satisfies ToHost);
  }

  /** Ends all calls; resolves when the host has let go of the engine. */
  async close(): Promise<void> {
    if (this.#failure) return;
    const wasOpen = this.#isOpen;
    this.#fail(new WeftError("engine_closed", "the engine was closed; create another to go on"));
    if (wasOpen) {
      const call = this.#nextCall++;
      const port = this.#port!;
      await new Promise<void>((resolve) => {
        this.#calls.set(call, {
          message: undefined as never,
          onResult: () => resolve(),
          onError: () => resolve(),
        });
        void port.gone.then(() => resolve());
        port.post({ type: "close", call } satisfies ToHost);
      });
    }
    this.#end();
  }

  async #connect(): Promise<void> {
    const { dial, engine, signal, onProgress } = this.#options;
    const port = await dial();
    this.#port = port;
    await new Promise<void>((resolve, reject) => {
      let isGreeted = false;
      const vanished = (why: string) => {
        reject(workerFailed(`it was lost while the engine was opened: ${why}`));
        if (this.#port === port && this.#isOpen) void this.#restart(why);
      };
      void port.gone.then(vanished);
      const abort = () =>
        port.post({ type: "cancel", call: OPEN, reason: reasonOf(signal?.reason) });
      signal?.addEventListener("abort", abort, { once: true });
      const settle = () => signal?.removeEventListener("abort", abort);
      port.listen((data) => {
        const message = data as FromHost | null;
        if (!message) return;
        if (message.type === "hello" && !isGreeted) {
          isGreeted = true;
          if (message.version !== PROTOCOL_VERSION) {
            reject(mismatch(message.version));
            return;
          }
          void absence(message.lock).then(vanished);
          port.post({ type: "open", call: OPEN, options: engine } satisfies ToHost);
          if (signal?.aborted) abort();
        } else if (message.type === "progress") onProgress?.(message.progress);
        else if (message.type === "opened") {
          this.#info = message.info;
          settle();
          resolve();
        } else if (message.type === "error" && message.call === OPEN) {
          settle();
          reject(WeftError.fromJSON(message.error));
        } else if (this.#port === port) this.#receive(message);
      });
      const lock = this.#presence?.lock;
      port.post({ type: "hello", version: PROTOCOL_VERSION, lock } satisfies ToHost);
    });
    this.#isOpen = true;
    if (this.#page) this.page(this.#page);
    for (const [number, call] of this.#calls) this.#send(number, call);
  }

  #receive(message: FromHost): void {
    if (message.type === "info") this.#info = message.info;
    if (!("call" in message)) return;
    const call = this.#calls.get(message.call);
    if (message.type === "chunks") {
      this.#numRestarts = 0;
      call?.onChunks?.(message.chunks);
      return;
    }
    this.#calls.delete(message.call);
    if (message.type === "result") call?.onResult(message.value);
    if (message.type === "error") call?.onError(WeftError.fromJSON(message.error));
  }

  async #restart(why: string): Promise<void> {
    this.#isOpen = false;
    this.#port?.close();
    let reason = why;
    while (!this.#failure) {
      if (++this.#numRestarts > MOST_RESTARTS) {
        this.#end(workerFailed(`it was lost ${this.#numRestarts} times: ${reason}`));
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (this.#numRestarts - 1)));
      for (const call of this.#calls.values()) call.onAgain?.();
      try {
        if (!this.#failure) await this.#connect();
        return;
      } catch (cause) {
        const error = WeftError.from(cause);
        this.#port?.close();
        if (error.code !== "worker_failed") {
          this.#end(error);
          return;
        }
        reason = error.message;
      }
    }
  }

  #send(number: number, { message, onError }: Call): void {
    try {
      this.#port!.post({ ...message, call: number });
    } catch (cause) {
      this.#calls.delete(number);
      onError(
        new WeftError(
          "bad_request",
          `the request cannot be sent to the worker (${reasonOf(cause)}); it must be plain data, without functions`,
          { cause },
        ),
      );
    }
  }

  #fail(error: WeftError): void {
    this.#failure ??= error;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.onError(error);
  }

  #end(error?: WeftError): void {
    if (error) this.#fail(error);
    this.#isOpen = false;
    this.#presence?.leave();
    this.#port?.close();
    this.#calls.clear();
  }
}

const workerFailed = (why: string): WeftError =>
  new WeftError(
    "worker_failed",
    `the engine's worker has failed: ${why}; reload the page, or create the engine on this thread (createEngine of weft-llm)`,
  );

const mismatch = (version: unknown): WeftError =>
  new WeftError(
    "protocol_mismatch",
    `the engine's worker speaks version ${JSON.stringify(version)} of the protocol, this page ${PROTOCOL_VERSION}; ` +
      "close the site's other tabs, whose worker is of another release, and reload",
  );
