/**
 * The cluster as requests meet it: what they become there, whether it is asked at all, and what its
 * failures mean. Owns its health; where a request goes is decided elsewhere.
 */
import { onAbort } from "../abort-listeners.ts";
import { reasonOf, WeftError } from "../errors.ts";
import type { EmbeddingRequest, EmbeddingResponse } from "../openai/embeddings.ts";
import type { SharedRequest } from "../openai/shared-request.ts";
import { Circuit } from "./circuit.ts";
import { Cluster, type ClusterModels } from "./cluster.ts";
import { ClusterError } from "./cluster-error.ts";
import { clusterModel, clusterRequest, ownDemand } from "./cluster-request.ts";
import { type AnyChoice, type AnyChunk, CHAT, type Endpoint } from "./endpoint.ts";
import type { OverflowCounts } from "./overflow-metrics.ts";
import type { ResolvedOverflow } from "./overflow-options.ts";

/** A key that is refused is not offered again for so long. */
const UNAUTHORIZED_MS = 60_000;

export interface ClusterAsk {
  readonly signal?: AbortSignal;
  /** The model that the request names, if it names one, is also here. */
  readonly isLocalModel: boolean;
  /** The caller has a part of the answer. */
  readonly hasSaid?: boolean;
}

export class ClusterSide {
  readonly circuit = new Circuit(() => performance.now(), Math.random);
  readonly #options: ResolvedOverflow;
  readonly #cluster: Cluster;
  readonly #counts: OverflowCounts;
  readonly #closing: AbortSignal;
  #isProbing = false;

  constructor(
    options: ResolvedOverflow,
    apiKey: string | undefined,
    counts: OverflowCounts,
    closing: AbortSignal,
  ) {
    this.#options = options;
    this.#cluster = new Cluster(options, apiKey);
    this.#counts = counts;
    this.#closing = closing;
  }

  /** @throws {ClusterError}, also in mid-stream. */
  async *chunks<R extends SharedRequest, Choice extends AnyChoice>(
    endpoint: Endpoint<R, Choice>,
    request: R,
    ask: ClusterAsk,
  ): AsyncGenerator<AnyChunk<Choice>, void, undefined> {
    const abort = new AbortController();
    const stop = () => abort.abort();
    const ignore = [onAbort(ask.signal, stop), onAbort(this.#closing, stop)];
    try {
      const models = await untilAborted(this.#cluster.models(), abort.signal);
      const body = this.#body(endpoint, request, ask, models);
      const startMs = performance.now();
      let isFirst = true;
      for await (const chunk of this.#cluster.chunks(
        endpoint.path,
        body,
        models.kind,
        abort.signal,
      )) {
        if (isFirst) this.#counts.firstChunk(performance.now() - startMs);
        if (isFirst) this.circuit.succeed();
        isFirst = false;
        const said = chunk as unknown as AnyChunk<Choice>;
        if (said.choices?.some(({ finish_reason: reason }) => GIVEN_UP.includes(reason ?? "")))
          throw new ClusterError("broken", "it gave the answer up");
        yield said;
      }
    } finally {
      for (const end of ignore) end();
    }
  }

  /** Vectors of a model that is there; those of two models are not comparable. @throws {ClusterError} */
  async embed(
    request: EmbeddingRequest,
    signal: AbortSignal | undefined,
  ): Promise<EmbeddingResponse> {
    const abort = new AbortController();
    const stop = () => abort.abort();
    const ignore = [onAbort(signal, stop), onAbort(this.#closing, stop)];
    try {
      const models = await untilAborted(this.#cluster.models(), abort.signal);
      const model = this.#model(request.model, false, models);
      const { input, encoding_format: format, dimensions } = request;
      const body = {
        ...{ model, input },
        ...(format && { encoding_format: format }),
        ...(dimensions && { dimensions }),
      };
      const response = await this.#cluster.json("/embeddings", body, abort.signal);
      this.circuit.succeed();
      return response as EmbeddingResponse;
    } finally {
      for (const end of ignore) end();
    }
  }

  /** Asks whether it is there again, beside whatever else goes on. */
  async probe(): Promise<void> {
    if (this.#isProbing) return;
    this.#isProbing = true;
    try {
      await this.#cluster.probe();
      this.circuit.admit();
    } catch (error) {
      this.failed(error);
    } finally {
      this.#isProbing = false;
    }
  }

  /** It has failed, or has refused the request. */
  failed(error: unknown): ClusterError {
    const known =
      error instanceof ClusterError ? error : new ClusterError("broken", reasonOf(error));
    if (known.isFailure) {
      this.circuit.fail(known.fault === "unauthorized" ? UNAUTHORIZED_MS : known.retryAfterMs);
      this.#counts.failure(known.message);
    }
    return known;
  }

  /** What the caller is told where nothing else can serve the request. */
  refusal(error: ClusterError): WeftError {
    // The request's own fault is told to callers of a server, too: they need not know where the cluster is.
    if (error.fault === "rejected") {
      return new WeftError(
        error.status === 404 ? "model_not_found" : "bad_request",
        `the cluster refused the request, which cannot be served here: ${error.message}; change the request`,
      );
    }
    return new WeftError(
      "cluster_failed",
      `the cluster at ${this.#options.baseURL} failed, and the request cannot be served here: ${error.message}; ` +
        "ask again later, or see to the cluster",
    );
  }

  #body<R extends SharedRequest, Choice extends AnyChoice>(
    endpoint: Endpoint<R, Choice>,
    request: R,
    { isLocalModel, hasSaid }: ClusterAsk,
    models: ClusterModels,
  ): Record<string, unknown> {
    if (hasSaid && endpoint.path === CHAT.path && models.kind === "other") {
      throw new ClusterError("rejected", "it is not known to go on with a begun answer");
    }
    const demand = ownDemand(request, models.kind);
    if (demand) throw new ClusterError("rejected", `it knows nothing of this engine's ${demand}`);
    return clusterRequest(request, models, this.#model(request.model, isLocalModel, models));
  }

  #model(named: string | undefined, isLocal: boolean, models: ClusterModels): string | undefined {
    const model = clusterModel(named, this.#options.model, models, isLocal);
    if (model !== undefined || named === undefined) return model;
    const known = models.ids.map((id) => JSON.stringify(id)).join(", ") || "no list of models";
    const message = `it has no model ${JSON.stringify(named.slice(0, 80))}, but ${known}`;
    throw new ClusterError("rejected", message, { status: 404 });
  }
}

/** Reasons to finish that are no end of an answer. */
const GIVEN_UP = ["abort", "error"];

/** What is asked for goes on: others may wait for it, too. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const ignore = onAbort(signal, () => reject(signal.reason));
    promise.then(resolve, reject).finally(ignore);
  });
}
