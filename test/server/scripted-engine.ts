// An engine that says what the test tells it to say, as fast as it is asked, and knows who listened.

import { engineMetrics } from "../../runtime/engine-metrics.ts";
import { MetricsRecorder } from "../../runtime/metrics-recorder.ts";
import { Scheduler } from "../../scheduler/index.ts";
import type { ChatCompletionChunk, EngineApi } from "../../worker.ts";

export interface Said {
  /** Pieces that somebody took. */
  readonly taken: number;
  /** Its reader told that no more is wanted. */
  readonly isLeft: boolean;
  readonly isAborted: boolean;
}

export class ScriptedEngine {
  /** As the server passed them on. */
  readonly requests: Record<string, unknown>[] = [];
  /** What `create` throws instead of answering. */
  fault: unknown;
  /** What the stream throws after its words. */
  breaks: unknown;
  #words: readonly string[] = [];
  #said: { taken: number; isLeft: boolean; isAborted: boolean } = nothing();

  /** The next answer's words. @returns What became of them. */
  says(words: readonly string[]): Said {
    this.#words = words;
    this.#said = nothing();
    return this.#said;
  }

  get door(): EngineApi {
    const create = async (request: object, { signal }: { signal?: AbortSignal } = {}) => {
      this.requests.push({ ...request });
      if (this.fault) throw this.fault;
      return this.#stream(signal);
    };
    return {
      info: { maxRows: 4, model: { id: "scripted" } },
      chat: { completions: { create } },
      metrics: async () => {
        const kvGroups = [{ kind: "full", numBlocks: 9 }] as const;
        const nowMs = performance.now();
        const data = new MetricsRecorder(0, 4).data(nowMs);
        return engineMetrics(data, new Scheduler({ numLayers: 1, kvGroups }), nowMs);
      },
      models: { list: async () => ({ object: "list", data: [] }) },
    } as unknown as EngineApi;
  }

  async *#stream(signal: AbortSignal | undefined): AsyncGenerator<ChatCompletionChunk> {
    const said = this.#said;
    signal?.addEventListener("abort", () => {
      said.isAborted = true;
    });
    try {
      for (const content of this.#words) {
        // As any device does, it leaves time for other things.
        await new Promise(setImmediate);
        signal?.throwIfAborted();
        said.taken += 1;
        yield {
          ...{ id: "chatcmpl-1", object: "chat.completion.chunk", created: 0, model: "scripted" },
          choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason: null }],
        };
      }
      if (this.breaks) throw this.breaks;
    } finally {
      said.isLeft = true;
    }
  }
}

const nothing = () => ({ taken: 0, isLeft: false, isAborted: false });
