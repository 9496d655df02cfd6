/** The public face of an engine that runs behind a port. Holds no model: what is asked goes to its host. */
import type { KvMap } from "../../scheduler/index.ts";
import { onAbort } from "../abort-listeners.ts";
import type { EngineApi, EngineInfo } from "../engine-api.ts";
import { abortError, throwIfAborted, type WeftError } from "../errors.ts";
import type { EngineGauges, EngineMetrics } from "../metrics.ts";
import { type ChatApi, chatOver } from "../openai/chat.ts";
import type { ChatCompletionChunk } from "../openai/chat-answer.ts";
import {
  type CompletionChunk,
  type CompletionsApi,
  completionsOver,
} from "../openai/completions.ts";
import type { EmbeddingsApi } from "../openai/embeddings.ts";
import { type ModelList, type ModelsApi, modelsApi } from "../openai/models.ts";
import { PageWatcher } from "../pacing/page-watcher.ts";
import {
  type CallOptions,
  checkSignal,
  type GenerateChunk,
  type GenerateRequest,
} from "../request.ts";
import type { Session } from "../session.ts";
import type { Trace, TraceOptions } from "../trace.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import type { Question, StreamStart } from "./messages.ts";
import { RemoteStream } from "./remote-stream.ts";

export class RemoteEngine implements EngineApi {
  readonly chat: ChatApi;
  readonly completions: CompletionsApi;
  readonly embeddings: EmbeddingsApi = {
    create: (request, options) => this.#ask({ method: "embeddings", request }, options),
  };
  readonly models: ModelsApi = modelsApi(async () => {
    return (await this.#ask<ModelList>({ method: "models" })).data;
  });
  readonly #connection: Connection;
  readonly #watcher: PageWatcher;
  #numStreams = 0;

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.#watcher = new PageWatcher((state) => connection.page(state));
    this.chat = chatOver((request, options) =>
      this.#named<ChatCompletionChunk>({ method: "chat", request: seeded(request) }, options),
    );
    this.completions = completionsOver((request, options) =>
      this.#named<CompletionChunk>({ method: "completions", request: seeded(request) }, options),
    );
  }

  /** @throws {WeftError} `worker_failed`, `protocol_mismatch`, and of every kind that loading can. */
  static async open(options: ConnectionOptions): Promise<RemoteEngine> {
    checkSignal(options.signal);
    throwIfAborted(options.signal);
    return new RemoteEngine(await Connection.open(options));
  }

  get info(): EngineInfo {
    return this.#connection.info;
  }

  generate(
    request: GenerateRequest,
    options?: CallOptions,
  ): AsyncGenerator<GenerateChunk, void, undefined> {
    return this.#stream<GenerateChunk>({ method: "generate", request: seeded(request) }, options);
  }

  session(): Session {
    const id = crypto.randomUUID();
    return {
      id,
      hold: (ms) => this.#ask({ method: "hold", session: id, ms }),
      release: () => this.#ask({ method: "release", session: id }),
    };
  }

  async metrics(): Promise<EngineMetrics> {
    const metrics = await this.#ask<EngineMetrics>({ method: "metrics" });
    const { metrics: frames } = this.#watcher;
    return { ...metrics, ...(frames && { frames }) };
  }

  gauges(model?: string): Promise<EngineGauges> {
    return this.#ask({ method: "gauges", model });
  }

  trace(options?: TraceOptions): Promise<Trace> {
    return this.#ask({ method: "trace", options });
  }

  kvMap(): Promise<KvMap> {
    return this.#ask({ method: "kvMap" });
  }

  async close(): Promise<void> {
    this.#watcher.stop();
    await this.#connection.close();
  }

  async *#named<C extends { readonly id: string; readonly created: number }>(
    start: StreamStart,
    options?: CallOptions,
  ): AsyncGenerator<C, void, undefined> {
    let head: Pick<C, "id" | "created"> | undefined;
    for await (const chunk of this.#stream<C>(start, options)) {
      // Another host would have given another name.
      head ??= { id: chunk.id, created: chunk.created };
      yield { ...chunk, ...head };
    }
  }

  async *#stream<T>(
    start: StreamStart,
    { signal }: CallOptions = {},
  ): AsyncGenerator<T, void, undefined> {
    checkSignal(signal);
    throwIfAborted(signal);
    const connection = this.#connection;
    const cancel = (reason: string) => {
      connection.tell(number, { type: "cancel", reason });
      connection.drop(number);
    };
    const stream = new RemoteStream<T>(
      (chunks) => connection.tell(number, { type: "credit", chunks }),
      () => cancel("its reader has left"),
    );
    this.#count(1);
    const number = connection.call({
      message: { type: "start", ...start },
      onChunks: (chunks) => stream.receive(chunks),
      onResult: () => stream.end(),
      onError: (error) => stream.fail(error),
      onAgain: () => stream.beginAgain(),
    });
    const ignoreSignal = onAbort(signal, () => {
      cancel("aborted by its caller");
      stream.fail(abortError(signal?.reason));
    });
    try {
      yield* stream;
    } finally {
      ignoreSignal();
      this.#count(-1);
    }
  }

  async #ask<T>(question: Question, { signal }: CallOptions = {}): Promise<T> {
    checkSignal(signal);
    throwIfAborted(signal);
    const connection = this.#connection;
    let ignoreSignal = () => {};
    const asked = new Promise<T>((resolve, reject: (error: WeftError) => void) => {
      const number = connection.call({
        message: { type: "ask", ...question },
        onResult: (value) => resolve(value as T),
        onError: reject,
      });
      ignoreSignal = onAbort(signal, () => {
        connection.tell(number, { type: "cancel", reason: "aborted by its caller" });
        connection.drop(number);
        reject(abortError(signal?.reason));
      });
    });
    return asked.finally(() => ignoreSignal());
  }

  #count(change: 1 | -1): void {
    this.#numStreams += change;
    this.#watcher.busy = this.#numStreams > 0;
  }
}

/** Whatever host computes it, the answer is the same: a request that names no seed gets one here. */
function seeded<R extends { readonly seed?: number | null }>(request: R): R {
  if (typeof request !== "object" || request === null || request.seed != null) return request;
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return { ...request, seed: (high >>> 12) * 2 ** 32 + low };
}
