/**
 * The public door for pages: an engine in a worker of its own, or in one that all tabs of a site share,
 * behind the same API as `weft-llm`. Nothing is computed on the page's thread but what is read.
 */

import type { EngineApi } from "./runtime/engine-api.ts";
import { WeftError } from "./runtime/errors.ts";
import { createOverflowing, type WithOverflow } from "./runtime/overflow/create-overflowing.ts";
import type { Port } from "./runtime/remote/port.ts";
import { RemoteEngine } from "./runtime/remote/remote-engine.ts";
import { type AnyRemoteOptions, remoteOptions } from "./runtime/remote/remote-options.ts";
import { dedicatedWorkerPort, sharedWorkerPort } from "./runtime/remote/worker-port.ts";
import { refuse } from "./runtime/request.ts";
import { browserStore } from "./runtime/store/browser-store.ts";
import type { LoadProgress } from "./runtime/weights/stream.ts";

/** Of one model, or of several (`models`); with a cluster for what the engine has no room for (`overflow`). */
export type WorkerEngineOptions = AnyRemoteOptions & Partial<WithOverflow> & WorkerHow;

export interface WorkerHow {
  /** One worker and one copy of the model for all tabs of the site that ask for the same options. */
  readonly shared?: boolean;
  /** Starts the worker in another way: its script is `weft-llm/engine-worker`, a module. */
  readonly worker?: () => Worker | SharedWorker;
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Loads a model in a worker and gets it ready to answer. When the worker is lost, another is started
 * and unfinished requests go on where they were.
 *
 * @example
 * const engine = await createEngine({ model: "https://example.org/Qwen3-0.6B" });
 * const stream = await engine.chat.completions.create({
 *   messages: [{ role: "user", content: "Hello" }],
 *   stream: true,
 * });
 * for await (const chunk of stream) document.body.append(chunk.choices[0].delta.content ?? "");
 *
 * @throws {WeftError} `worker_failed`, `no_adapter`, `unsupported_model`, …: the message has the cure.
 */
export async function createEngine(options: WorkerEngineOptions): Promise<EngineApi> {
  if (typeof options !== "object" || options === null) refuse("options", options, "an object");
  const { shared = false, worker, onProgress, signal, overflow, ...rest } = options;
  const dial = () => portOf(worker?.() ?? start(shared));
  let isKept = false;
  const progress = (load: LoadProgress) => {
    // Workers may not ask; what is being downloaded is worth keeping, and nobody waits for the answer.
    if (load.phase === "download" && !isKept) void navigator.storage?.persist?.().catch(() => {});
    isKept ||= load.phase === "download";
    onProgress?.(load);
  };
  const engine = remoteOptions(rest as AnyRemoteOptions);
  const open = () => RemoteEngine.open({ dial, engine, onProgress: progress, signal });
  return overflow ? createOverflowing(overflow, open) : open();
}

function start(shared: boolean): Worker | SharedWorker {
  if (typeof (shared ? globalThis.SharedWorker : globalThis.Worker) === "undefined") {
    throw new WeftError(
      "worker_failed",
      `there is no ${shared ? "SharedWorker" : "Worker"} here; ` +
        (shared
          ? "leave shared out"
          : "in Node import weft-llm/node, in a service worker connectEngine"),
    );
  }
  // Bundlers find the script by these very expressions.
  return shared
    ? new SharedWorker(new URL("./engine-worker.js", import.meta.url), {
        type: "module",
        name: "weft-engine",
      })
    : new Worker(new URL("./engine-worker.js", import.meta.url), {
        type: "module",
        name: "weft-engine",
      });
}

const portOf = (worker: Worker | SharedWorker): Port =>
  "port" in worker ? sharedWorkerPort(worker) : dedicatedWorkerPort(worker);

/** The models that this site keeps in its private file system: to list, to download ahead, to delete. */
export const modelStore = browserStore;

export type { EngineApi, EngineInfo } from "./runtime/engine-api.ts";
export { WeftError, type WeftErrorCode, type WeftErrorData } from "./runtime/errors.ts";
export type { LayerPlan, LayerPolicy } from "./runtime/layer-policy.ts";
export type { EngineMetrics } from "./runtime/metrics.ts";
export type * from "./runtime/openai/index.ts";
export { type WithOverflow, withOverflow } from "./runtime/overflow/create-overflowing.ts";
export type {
  OverflowMetrics,
  OverflowOptions,
  OverflowTimeouts,
  OverflowWhen,
} from "./runtime/overflow/index.ts";
export { type ConnectOptions, connectEngine, type Endpoint } from "./runtime/remote/connect.ts";
export type {
  AnyRemoteOptions,
  RemoteOptions,
  RemoteSetOptions,
} from "./runtime/remote/remote-options.ts";
export type * from "./runtime/request.ts";
export type { Session } from "./runtime/session.ts";
export type { DownloadModelOptions, ModelStore } from "./runtime/store/model-store.ts";
export type { StoredModel, StoredVersion } from "./runtime/store/stored-models.ts";
export type { Trace, TraceEvent, TraceOptions } from "./runtime/trace.ts";
export type { KvGroupMap, KvMap } from "./scheduler/index.ts";
export type { LoadProgress };
