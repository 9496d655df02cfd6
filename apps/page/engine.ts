/** The engine as the page uses it, and how it is opened. All else takes what is declared here. */
import type { LoadProgress } from "../../index.ts";
import { createEngine, type EngineApi } from "../../worker.ts";

export type PageEngine = Pick<EngineApi, "info" | "chat" | "metrics" | "kvMap" | "trace" | "close">;

export interface EngineChoice {
  /** An address, `hf:org/name`, or a GGUF file. */
  readonly model: string | Blob;
  /** One worker and one copy of the model for all tabs. */
  readonly shared: boolean;
  readonly device: "gpu" | "reference";
  /** Requests that run at once. */
  readonly maxRows: number;
  /** Weights, activations and KV cache; the engine's own measure when left out. */
  readonly memoryBudgetBytes?: number;
}

export interface LoadWatch {
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
}

export type OpenEngine = (choice: EngineChoice, watch: LoadWatch) => Promise<PageEngine>;

/** @throws {WeftError} of every kind that loading can. */
export const openEngine: OpenEngine = (choice, watch) => createEngine({ ...choice, ...watch });
