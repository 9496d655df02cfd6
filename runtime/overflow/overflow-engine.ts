/**
 * An engine that sends what it has no room for to a cluster, and takes it back when that fails. Owns the
 * decision for each request and what follows when a place gives up; the engine itself knows nothing of it.
 */
import type { KvMap } from "../../scheduler/index.ts";
import type { EngineApi, EngineInfo } from "../engine-api.ts";
import { reasonOf, throwIfAborted, WeftError, type WeftErrorCode } from "../errors.ts";
import type { EngineGauges, EngineMetrics } from "../metrics.ts";
import { type ChatApi, chatOver } from "../openai/chat.ts";
import type { ChatCompletionChunk } from "../openai/chat-answer.ts";
import {
  type CompletionChunk,
  type CompletionsApi,
  completionsOver,
} from "../openai/completions.ts";
import type { EmbeddingRequest, EmbeddingResponse, EmbeddingsApi } from "../openai/embeddings.ts";
import type { ModelsApi } from "../openai/models.ts";
import type { SharedRequest } from "../openai/shared-request.ts";
import { type CallOptions, checkSignal, type GenerateRequest, refuse } from "../request.ts";
import type { Session } from "../session.ts";
import type { Trace, TraceOptions } from "../trace.ts";
import { ClusterError } from "./cluster-error.ts";
import { type ClusterAsk, ClusterSide } from "./cluster-side.ts";
import { type AnyChoice, type AnyChunk, CHAT, COMPLETIONS, type Endpoint } from "./endpoint.ts";
import { JoinedAnswer } from "./joined-answer.ts";
import { OverflowCounts, type OverflowReason } from "./overflow-metrics.ts";
import {
  type OverflowOptions,
  type ResolvedOverflow,
  resolveOverflow,
} from "./overflow-options.ts";
import { overflowReason } from "./route.ts";

/** What says that this engine, not the request, is at fault. */
const LOST: readonly WeftErrorCode[] = [
  ...(["device_lost", "device_error", "out_of_memory", "engine_closed", "worker_failed"] as const),
];

interface Place {
  readonly at: "local" | "cluster";
  readonly reason?: OverflowReason;
}

export class OverflowEngine implements EngineApi {
  readonly chat: ChatApi;
  readonly completions: CompletionsApi;
  readonly embeddings: EmbeddingsApi = {
    create: (request, options) => this.#embed(request, options),
  };
  readonly #engine: EngineApi;
  readonly #options: ResolvedOverflow;
  readonly #cluster: ClusterSide;
  readonly #counts = new OverflowCounts();
  readonly #closing = new AbortController();
  /** Decisions follow one another: each sees the requests before it in the queue. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws {WeftError} `bad_request` for an option. */
  constructor(engine: EngineApi, options: OverflowOptions) {
    this.#engine = engine;
    this.#options = resolveOverflow(options);
    const { signal } = this.#closing;
    this.#cluster = new ClusterSide(this.#options, options.apiKey, this.#counts, signal);
    this.chat = chatOver(
      (request, how) =>
        this.#answer(CHAT, request, how) as AsyncGenerator<ChatCompletionChunk, void, undefined>,
    );
    this.completions = completionsOver(
      (request, how) =>
        this.#answer(COMPLETIONS, request, how) as AsyncGenerator<CompletionChunk, void, undefined>,
    );
  }

  /** @throws {WeftError} `bad_request` for an option. */
  static check(options: OverflowOptions): void {
    resolveOverflow(options);
  }

  get info(): EngineInfo {
    return this.#engine.info;
  }

  get models(): ModelsApi {
    return this.#engine.models;
  }

  generate(request: GenerateRequest, options?: CallOptions): ReturnType<EngineApi["generate"]> {
    return this.#engine.generate(request, options);
  }

  session(): Session {
    return this.#engine.session();
  }

  async metrics(): Promise<EngineMetrics> {
    const overflow = this.#counts.snapshot(this.#cluster.circuit);
    return { ...(await this.#engine.metrics()), overflow };
  }

  gauges(model?: string): Promise<EngineGauges> {
    return this.#engine.gauges(model);
  }

  trace(options?: TraceOptions): Promise<Trace> {
    return this.#engine.trace(options);
  }

  kvMap(): Promise<KvMap> {
    return this.#engine.kvMap();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#engine.close();
  }

  async *#answer<R extends SharedRequest, Choice extends AnyChoice>(
    endpoint: Endpoint<R, Choice>,
    request: R,
    { signal }: CallOptions = {},
  ): AsyncGenerator<AnyChunk<Choice>, void, undefined> {
    checkSignal(signal);
    throwIfAborted(signal);
    this.#throwIfClosed();
    const answer = new JoinedAnswer(endpoint, request);
    const isLocalModel = await this.#hasModel(request.model);
    let { place, chunks } = await this.#inTurn(() =>
      this.#begin(endpoint, request, { signal, isLocalModel }),
    );
    this.#counts.count(place.at);
    for (let isLast = false; ; isLast = true) {
      if (place.reason) this.#counts.reason(place.reason);
      try {
        for await (const chunk of await chunks) {
          const news = answer.take(chunk);
          if (news) yield news;
        }
        if (!answer.isComplete) throw new ClusterError("broken", "its answer has no end");
      } catch (error) {
        if (!answer.isComplete) {
          const other = this.#otherPlace(place, error, { isLast, answer, signal });
          const hasSaid = answer.hasSaid;
          const rest = answer.next();
          if (!rest) throw this.#brokenOff(error);
          this.#counts.count(hasSaid ? "continued" : MOVED[other.at]);
          place = other;
          chunks = this.#chunksAt(other.at, endpoint, rest, { signal, isLocalModel, hasSaid });
          continue;
        }
      }
      yield answer.usage();
      return;
    }
  }

  /** Vectors come of the model that is named, and of no other: they stay unless it is not here. */
  async #embed(request: EmbeddingRequest, options: CallOptions = {}): Promise<EmbeddingResponse> {
    checkSignal(options.signal);
    throwIfAborted(options.signal);
    this.#throwIfClosed();
    if (!this.#options.when.model || (await this.#hasModel(request?.model))) {
      return this.#engine.embeddings.create(request, options);
    }
    const { reason = "model" } = this.#affordable("model", false);
    this.#counts.count("cluster");
    this.#counts.reason(reason);
    try {
      return await this.#cluster.embed(request, options.signal);
    } catch (error) {
      throwIfAborted(options.signal);
      this.#throwIfClosed();
      throw this.#cluster.refusal(this.#cluster.failed(error));
    }
  }

  /** Before anything else is decided: what starts here is in the queue of the next decision. */
  async #begin<R extends SharedRequest, Choice extends AnyChoice>(
    endpoint: Endpoint<R, Choice>,
    request: R,
    how: ClusterAsk,
  ): Promise<{ place: Place; chunks: Chunks<Choice> }> {
    const { isLocalModel } = how;
    const { when } = this.#options;
    const queueMs = await this.#engine.gauges(isLocalModel ? request.model : undefined).then(
      (gauges) => gauges.queueMs,
      () => undefined,
    );
    const { priority = "interactive", deadline_ms: deadlineMs } = request;
    const wanted = overflowReason({ when, isLocalModel, queueMs, priority, deadlineMs });
    const place = this.#affordable(wanted, isLocalModel);
    return { place, chunks: this.#chunksAt(place.at, endpoint, request, how) };
  }

  /** A cluster that does not answer is not waited for by those who can stay. */
  #affordable(reason: OverflowReason | undefined, isLocalModel: boolean): Place {
    if (reason === undefined) return { at: "local" };
    const { state, waitMs } = this.#cluster.circuit;
    if (state === "closed") return { at: "cluster", reason };
    if (!isLocalModel && state === "open") {
      throw new WeftError(
        "cluster_failed",
        `the model is not here, and the cluster does not answer; it is asked again in ${Math.ceil(waitMs)} ms`,
      );
    }
    if (!isLocalModel) return { at: "cluster", reason };
    if (state === "probe") void this.#cluster.probe();
    this.#counts.count("kept");
    return { at: "local" };
  }

  #chunksAt<R extends SharedRequest, Choice extends AnyChoice>(
    at: Place["at"],
    endpoint: Endpoint<R, Choice>,
    request: R,
    how: ClusterAsk,
  ): Chunks<Choice> {
    const chunks =
      at === "local"
        ? endpoint.local(this.#engine, request, { signal: how.signal })
        : Promise.resolve(this.#cluster.chunks(endpoint, request, how));
    // Its reader comes a moment later.
    chunks.catch(() => {});
    return chunks;
  }

  /** Where the request may still go. @throws The error of one that may go nowhere. */
  #otherPlace(
    { at, reason }: Place,
    error: unknown,
    { isLast, answer, signal }: { isLast: boolean; answer: Said; signal?: AbortSignal },
  ): Place {
    throwIfAborted(signal);
    this.#throwIfClosed();
    const known = at === "cluster" ? this.#cluster.failed(error) : WeftError.from(error);
    const other = isLast ? undefined : this.#alternative(at, reason, known, answer.hasSaid);
    if (other) return other;
    if (answer.hasSaid) throw this.#brokenOff(known);
    throw known instanceof ClusterError ? this.#cluster.refusal(known) : known;
  }

  #alternative(
    at: Place["at"],
    reason: OverflowReason | undefined,
    error: WeftError | ClusterError,
    hasSaid: boolean,
  ): Place | undefined {
    if (error instanceof ClusterError || at === "cluster") {
      return reason === "context" || reason === "model" ? undefined : { at: "local" };
    }
    if (this.#cluster.circuit.state === "open") return undefined;
    if (LOST.includes(error.code)) return { at: "cluster", reason: "lost" };
    const isTooLong = error.code === "request_too_long" && !hasSaid && this.#options.when.context;
    return isTooLong ? { at: "cluster", reason: "context" } : undefined;
  }

  #brokenOff(error: unknown): WeftError {
    this.#counts.count("broken");
    return new WeftError(
      "stream_broken",
      `the answer broke off: ${reasonOf(error)}; what was said stands, and what would follow it cannot be ` +
        "told exactly: ask again",
      { cause: error },
    );
  }

  async #hasModel(named: string | undefined): Promise<boolean> {
    if (named === undefined || named === null || named === this.#engine.info.model.id) return true;
    // It names a model of neither place.
    if (typeof named !== "string") refuse("model", named, "a text");
    const { data } = await this.#engine.models.list();
    return data.some(({ id }) => id === named);
  }

  #inTurn<T>(decide: () => Promise<T>): Promise<T> {
    const decided = this.#turn.then(decide);
    this.#turn = decided.catch(() => {});
    return decided;
  }

  #throwIfClosed(): void {
    if (this.#closing.signal.aborted) {
      throw new WeftError("engine_closed", "the engine was closed; create another to go on");
    }
  }
}

const MOVED = { local: "movedToLocal", cluster: "movedToCluster" } as const;
type Chunks<Choice> = Promise<AsyncIterable<AnyChunk<Choice>>>;
type Said = { readonly hasSaid: boolean };
