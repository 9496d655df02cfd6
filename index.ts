/**
 * The public door of `weft-llm` where the platform has WebGPU: browsers, workers, Electron renderers.
 * In Node import `weft-llm/node`, which brings Dawn and local folders and has the same exports.
 */
import { browserPlatform } from "./runtime/browser-platform.ts";
import { type CreateEngineOptions, openDevice, type Platform } from "./runtime/create-engine.ts";
import { createHosted } from "./runtime/create-hosted.ts";
import type { Device } from "./runtime/device.ts";
import type { Engine } from "./runtime/engine.ts";
import type { EngineApi, HostedEngine } from "./runtime/engine-api.ts";
import { pageUrl } from "./runtime/model-folder/page-url.ts";
import type { ModelSetOptions } from "./runtime/model-set/model-set-options.ts";
import { createOverflowing, type WithOverflow } from "./runtime/overflow/create-overflowing.ts";
import { type Endpoint, engineHost } from "./runtime/remote/connect.ts";
import { withImports } from "./runtime/service-worker.ts";
import { browserStore } from "./runtime/store/browser-store.ts";

/**
 * Loads a model and gets it ready to answer.
 *
 * @example
 * const engine = await createEngine({ model: "https://example.org/Qwen3-0.6B" });
 * const stream = await engine.chat.completions.create({
 *   messages: [{ role: "user", content: "Hello" }],
 *   stream: true,
 * });
 * for await (const chunk of stream) console.log(chunk.choices[0].delta.content ?? "");
 *
 * @throws {WeftError} `no_adapter`, `unsupported_model`, `out_of_memory`, …: the message has the cure.
 */
export function createEngine(options: CreateEngineOptions): Promise<Engine>;
/** Several models behind one API (`models`), or a cluster for what this engine has no room for (`overflow`). */
export function createEngine(
  options: ModelSetOptions | ((CreateEngineOptions | ModelSetOptions) & WithOverflow),
): Promise<EngineApi>;
/** As declared: what it does not need is not loaded. */
export function createEngine(
  options: (CreateEngineOptions | ModelSetOptions) & Partial<WithOverflow>,
): Promise<EngineApi> {
  const { overflow, ...rest } = options;
  const platform = { ...browserPlatform, isPage: "document" in globalThis };
  const create = () => createOn(platform, rest);
  return withImports(overflow ? createOverflowing(overflow, create) : create());
}

/**
 * Makes this thread the host of engines for others: call it with each port that they connect by
 * (`connectEngine` of `weft-llm/worker`). Those that ask for the same engine share one. Their pages are
 * considered, and not the host's own, which may be one that nobody ever sees.
 */
export const hostEngines: (endpoint: Endpoint) => void = /* @__PURE__ */ engineHost(
  (options, how) => createOn(browserPlatform, { ...options, ...how }),
);

/** @param options Of models, addresses as a page writes them. */
function createOn(
  platform: Platform,
  options: CreateEngineOptions | ModelSetOptions,
): Promise<HostedEngine> {
  return createHosted(platform, options, pageUrl);
}

/** @throws {WeftError} `no_adapter`. */
export const createDevice = (kind: "gpu" | "reference" = "gpu"): Promise<Device> =>
  openDevice(browserPlatform, kind);

/**
 * The models that this origin keeps, in its private file system: those that `createEngine` has downloaded.
 *
 * @example
 * const store = modelStore();
 * await store.download("hf:Qwen/Qwen3-0.6B", { onProgress: ({ secondsLeft }) => show(secondsLeft) });
 * for (const { model, versions } of await store.list()) console.log(model, versions.length);
 */
export const modelStore = browserStore;

export type { CreateEngineOptions } from "./runtime/create-engine.ts";
export type {
  Device,
  DeviceBuffer,
  DeviceInfo,
  PipelineSpec,
  Submission,
} from "./runtime/device.ts";
export type { Engine } from "./runtime/engine.ts";
export type { EngineApi, EngineInfo } from "./runtime/engine-api.ts";
export { WeftError, type WeftErrorCode, type WeftErrorData } from "./runtime/errors.ts";
export type { Eviction } from "./runtime/experts/eviction.ts";
export type { ExpertOptions } from "./runtime/experts/expert-options.ts";
export type { ExpertId } from "./runtime/experts/expert-slots.ts";
export type { ExpertMetrics } from "./runtime/experts/expert-usage.ts";
export type { LayerPlanFile, MeasuredExit, NamedPlan } from "./runtime/layer-plan-file.ts";
export type { LayerPlan, LayerPolicy } from "./runtime/layer-policy.ts";
export type { LoadModelOptions } from "./runtime/load-options.ts";
export type { EngineMetrics } from "./runtime/metrics.ts";
export type { HubOptions } from "./runtime/model-folder/remote-model.ts";
export type { MemberOptions, ModelSetOptions } from "./runtime/model-set/model-set-options.ts";
export type * from "./runtime/openai/index.ts";
export { renderChat } from "./runtime/openai/prompt-plan.ts";
export { type WithOverflow, withOverflow } from "./runtime/overflow/create-overflowing.ts";
export type {
  OverflowMetrics,
  OverflowOptions,
  OverflowTimeouts,
  OverflowWhen,
} from "./runtime/overflow/index.ts";
export { type ProbeResult, runProbe } from "./runtime/probe-runner.ts";
export { type ConnectOptions, connectEngine, type Endpoint } from "./runtime/remote/connect.ts";
export type { RemoteOptions } from "./runtime/remote/remote-options.ts";
export type * from "./runtime/request.ts";
export type { Session } from "./runtime/session.ts";
export type { StoreEstimate } from "./runtime/store/file-store.ts";
export type { DownloadModelOptions, ModelStore } from "./runtime/store/model-store.ts";
export type { StoredModel, StoredVersion } from "./runtime/store/stored-models.ts";
export type { ModelSourceOptions } from "./runtime/stored-model.ts";
export type { PlanListener } from "./runtime/telemetry.ts";
export type { Trace, TraceEvent, TraceOptions } from "./runtime/trace.ts";
export {
  type IndexedDbTuningCacheOptions,
  indexedDbTuningCache,
} from "./runtime/tuning/indexed-db-cache.ts";
export type { TuningCache, TuningEntry, TuningRecord } from "./runtime/tuning/tuning-cache.ts";
export type { LoadProgress } from "./runtime/weights/progress.ts";
export type { KvGroupMap, KvMap } from "./scheduler/index.ts";
