/**
 * An engine as its users see it, wherever it runs: on this thread, in a worker, behind a port. Plain
 * data in and out, but for AbortSignals and async iterables.
 */
import type { KvMap } from "../scheduler/index.ts";
import type { DeviceInfo } from "./device.ts";
import type { ModelPlan } from "./load-model.ts";
import type { EngineGauges, EngineMetrics } from "./metrics.ts";
import type { ChatApi } from "./openai/chat.ts";
import type { CompletionsApi } from "./openai/completions.ts";
import type { EmbeddingsApi } from "./openai/embeddings.ts";
import type { ModelsApi } from "./openai/models.ts";
import type { EnginePace } from "./pacing/engine-pace.ts";
import type { CallOptions, GenerateChunk, GenerateRequest } from "./request.ts";
import type { SelfTestReport } from "./self-test.ts";
import type { Session } from "./session.ts";
import type { Trace, TraceOptions } from "./trace.ts";

export interface EngineApi {
  /** Of the model, and of the device that it runs on now. */
  readonly info: EngineInfo;
  /** OpenAI-shaped, as are the next ones: `chat.completions.create`. */
  readonly chat: ChatApi;
  readonly completions: CompletionsApi;
  readonly embeddings: EmbeddingsApi;
  readonly models: ModelsApi;
  /**
   * The answer to a prompt, or `n` of them, piece by piece. Leaving the loop early or aborting frees
   * all it holds.
   * @throws {WeftError} `bad_request`, `request_too_long`, `aborted`, `device_lost`, `engine_closed`.
   */
  generate(
    request: GenerateRequest,
    options?: CallOptions,
  ): AsyncGenerator<GenerateChunk, void, undefined>;
  /** For requests that follow one another and may keep what they computed in between. */
  session(): Session;
  /** Counters since the engine was created, and figures of the latest requests and steps. */
  metrics(): Promise<EngineMetrics>;
  /**
   * What `metrics()` has as `now`, alone and cheap: it may be asked for each request.
   * @param model Of an engine with several.
   */
  gauges(model?: string): Promise<EngineGauges>;
  /** The latest requests and steps on a time line, for Perfetto: save it as JSON and open it there. */
  trace(options?: TraceOptions): Promise<Trace>;
  /** Whose each KV block is at this moment. Worked out when asked for: a few times a second is fine. */
  kvMap(): Promise<KvMap>;
  /** Aborts what runs and frees the device. */
  close(): Promise<void>;
}

/** What a host of users on other threads needs besides. */
export interface HostedEngine extends EngineApi {
  /** Keep what the session's requests have computed. */
  hold(session: string, ms: number): void;
  release(session: string): void;
  /** Hears of each move to another device. @returns Ends it. */
  onMove(listener: (info: EngineInfo) => void): () => void;
  /** Of the pages that the engine works for. */
  readonly pace: Pick<EnginePace, "report" | "leave">;
}

/** Plain data. */
export interface EngineInfo {
  readonly model: {
    /** What requests call it. */
    readonly id: string;
    /** Milliseconds since 1970: when it was ready. */
    readonly createdMs: number;
    /** As in config.json. */
    readonly type: string;
    readonly numLayers: number;
    readonly vocabSize: number;
    readonly weightBytes: number;
  };
  /** Longest sequence, in tokens: prompt and answer together. */
  readonly maxContext: number;
  /** Requests that run at once. */
  readonly maxRows: number;
  readonly kvCache: {
    readonly storage: string;
    readonly bytes: number;
    readonly blockTokens: number;
  };
  readonly device: DeviceInfo;
  readonly selfTest: SelfTestReport;
  /** Names that requests may give as `adapter`. */
  readonly adapters: readonly string[];
}

export function engineInfo(
  plan: ModelPlan,
  device: DeviceInfo,
  selfTest: SelfTestReport,
  model: Pick<EngineInfo["model"], "id" | "createdMs">,
) {
  const { spec, kv, weightBytes, maxContext, maxRows, adapters } = plan;
  return {
    model: {
      ...model,
      type: spec.modelType,
      numLayers: spec.layers.length,
      vocabSize: spec.vocabSize,
      weightBytes,
    },
    ...{ maxContext, maxRows },
    kvCache: { storage: kv.storage, bytes: kv.totalBytes, blockTokens: kv.blockTokens },
    ...{ device, selfTest },
    adapters: [...(adapters?.names ?? [])],
  } satisfies EngineInfo;
}
