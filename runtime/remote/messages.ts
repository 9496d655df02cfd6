/**
 * What crosses a port between an engine's users and its host: two unions of plain data, the same over
 * dedicated and shared workers, `worker_threads` and Electron's ports. Each side says its version
 * first, and hears nothing else before the other has said the same.
 */

import type { EngineInfo } from "../engine-api.ts";
import type { WeftErrorData } from "../errors.ts";
import type { ChatCompletionRequest } from "../openai/chat-request.ts";
import type { CompletionRequest } from "../openai/completions.ts";
import type { EmbeddingRequest } from "../openai/embeddings.ts";
import type { PageState } from "../pacing/page-state.ts";
import type { GenerateRequest } from "../request.ts";
import type { TraceOptions } from "../trace.ts";
import type { LoadProgress } from "../weights/stream.ts";
import type { AnyRemoteOptions } from "./remote-options.ts";

/** Counts changes that an older side would misread. */
export const PROTOCOL_VERSION = 2;

/** Chunks that a host may send ahead of their reader. */
export const WINDOW_CHUNKS = 64;

/** `call` is the user's number of what it asked for: everything about it carries it, both ways. */
export type ToHost =
  | { readonly type: "hello"; readonly version: number; readonly lock?: string }
  | { readonly type: "open"; readonly call: number; readonly options: AnyRemoteOptions }
  | ({ readonly type: "start"; readonly call: number } & StreamStart)
  /** So many more chunks may come. */
  | { readonly type: "credit"; readonly call: number; readonly chunks: number }
  | ({ readonly type: "ask"; readonly call: number } & Question)
  /** Its caller has aborted, or its reader has left. */
  | { readonly type: "cancel"; readonly call: number; readonly reason: string }
  | { readonly type: "page"; readonly state: PageState }
  | { readonly type: "close"; readonly call: number };

export type FromHost =
  | { readonly type: "hello"; readonly version: number; readonly lock?: string }
  | { readonly type: "progress"; readonly call: number; readonly progress: LoadProgress }
  | { readonly type: "opened"; readonly call: number; readonly info: EngineInfo }
  /** In order; several that are there at once come together. */
  | { readonly type: "chunks"; readonly call: number; readonly chunks: readonly unknown[] }
  /** Nothing more comes; the answer of a question, nothing of a stream. */
  | { readonly type: "result"; readonly call: number; readonly value?: unknown }
  | { readonly type: "error"; readonly call: number; readonly error: WeftErrorData }
  /** Now and then the engine moves to another device. */
  | { readonly type: "info"; readonly info: EngineInfo };

/** What is answered chunk by chunk. */
export type StreamStart =
  | { readonly method: "generate"; readonly request: GenerateRequest }
  | { readonly method: "chat"; readonly request: ChatCompletionRequest }
  | { readonly method: "completions"; readonly request: CompletionRequest };

/** What is answered at once. */
export type Question =
  | { readonly method: "metrics" | "models" | "kvMap" }
  | { readonly method: "gauges"; readonly model?: string }
  | { readonly method: "embeddings"; readonly request: EmbeddingRequest }
  | { readonly method: "trace"; readonly options?: TraceOptions }
  | { readonly method: "hold"; readonly session: string; readonly ms: number }
  | { readonly method: "release"; readonly session: string };
