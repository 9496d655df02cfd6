// An engine that says what the test tells it to say, one word at a time, and remembers what it was asked.

import type { PageEngine } from "../../apps/page/engine.ts";
import { shownName } from "../../apps/page/labels.ts";
import { engineMetrics } from "../../runtime/engine-metrics.ts";
import { MetricsRecorder } from "../../runtime/metrics-recorder.ts";
import { Scheduler } from "../../scheduler/index.ts";
import type {
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatDelta,
  KvMap,
  Trace,
} from "../../worker.ts";

export interface Asked {
  readonly request: ChatCompletionRequest;
  say(word: string): void;
  think(word: string): void;
  /** A call of a tool, in two pieces. */
  call(name: string, json: string): void;
  finish(reason?: FinishReason): void;
  fail(message: string): void;
  readonly isAborted: boolean;
}

type FinishReason = "stop" | "length" | "tool_calls";

export class ScriptedEngine {
  readonly asked: Asked[] = [];
  isClosed = false;
  /** Why it does not say what it does. */
  fault: string | undefined;
  map: KvMap = { blockTokens: 32, groups: [] };
  trace: Trace = { displayTimeUnit: "ms", traceEvents: [] };
  readonly #startMs = performance.now();

  /** The latest request of a conversation. */
  of(client: string): Asked {
    const found = this.asked.findLast(({ request }) => shownName(request.client ?? "") === client);
    if (found === undefined) throw new Error(`${client} has asked nothing`);
    return found;
  }

  get door(): PageEngine {
    return {
      info: { device: { adapter: "a scripted engine" } } as PageEngine["info"],
      chat: { completions: { create: this.#create as never } },
      metrics: async () => {
        if (this.fault) throw new Error(this.fault);
        const nowMs = performance.now();
        const data = new MetricsRecorder(this.#startMs, 4).data(nowMs);
        const kvGroups = [{ kind: "full", numBlocks: 9 }] as const;
        return engineMetrics(data, new Scheduler({ numLayers: 1, kvGroups }), nowMs);
      },
      kvMap: async () => this.map,
      trace: async () => this.trace,
      close: async () => {
        this.isClosed = true;
      },
    };
  }

  readonly #create = async (
    request: ChatCompletionRequest,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<ChatCompletionChunk>> => {
    const chunks: ChatCompletionChunk[] = [];
    let wake = () => {};
    let failure: Error | undefined;
    let tokens = 0;
    const push = (delta: ChatDelta, reason: FinishReason | null) => {
      chunks.push(...chunksOf(delta, reason, tokens));
      wake();
    };
    const asked: Asked = {
      request,
      say(word) {
        tokens += 1;
        push({ content: word }, null);
      },
      think(word) {
        tokens += 1;
        push({ reasoning_content: word }, null);
      },
      call(name, json) {
        tokens += 2;
        const call = { id: `call_${name}`, type: "function", function: { name, arguments: "" } };
        push({ tool_calls: [{ index: 0, ...call, type: "function" }] }, null);
        push({ tool_calls: [{ index: 0, function: { arguments: json } }] }, null);
      },
      finish: (reason = "stop") => push({}, reason),
      fail(message) {
        failure = new Error(message);
        wake();
      },
      get isAborted() {
        return signal?.aborted ?? false;
      },
    };
    this.asked.push(asked);
    signal?.addEventListener("abort", () => wake());
    return (async function* () {
      for (;;) {
        if (signal?.aborted) throw new Error("aborted");
        if (failure) throw failure;
        const chunk = chunks.shift();
        if (chunk) {
          yield chunk;
          if (chunk.usage) return;
        } else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    })();
  };
}

/** As with `include_usage`. */
const chunksOf = (
  delta: ChatDelta,
  reason: FinishReason | null,
  tokens: number,
): ChatCompletionChunk[] => {
  const object = "chat.completion.chunk" as const;
  const head = { id: "chatcmpl-1", object, created: 0, model: "scripted" };
  const choice = { index: 0, delta, logprobs: null, finish_reason: reason };
  const usage = { prompt_tokens: 5, completion_tokens: tokens, total_tokens: 5 + tokens };
  const said = { ...head, choices: [choice], usage: null };
  return reason ? [said, { ...head, choices: [], usage }] : [said];
};
