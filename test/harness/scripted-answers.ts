// An engine whose answers a test writes down, delta by delta, and that remembers what it was asked.

import type { EngineApi } from "../../runtime/engine-api.ts";

/** One delta of an answer, or what happens in its place. */
export type Scripted =
  | { readonly content: string }
  | { readonly reasoning_content: string }
  | { readonly tool_calls: readonly object[] }
  | { readonly finish: "stop" | "length" | "tool_calls" }
  | Error
  /** Until the caller aborts. */
  | "forever";

export interface ScriptedRequest {
  readonly messages: readonly Record<string, unknown>[];
  readonly [field: string]: unknown;
}

export class ScriptedAnswers {
  readonly asked: ScriptedRequest[] = [];
  /** Answers whose reader left before their end. */
  numAbandoned = 0;
  /** Predicted wait of whoever comes now. */
  queueMs = 0;
  isClosed = false;
  readonly #answer: (request: ScriptedRequest, call: number) => readonly Scripted[];

  constructor(answer: (request: ScriptedRequest, call: number) => readonly Scripted[]) {
    this.#answer = answer;
  }

  get engine(): EngineApi {
    const engine = {
      info: { model: { id: "scripted", type: "qwen3" }, maxContext: 100 },
      chat: { completions: { create: this.#create } },
      models: { list: async () => ({ object: "list", data: [{ id: "scripted" }] }) },
      gauges: async () => {
        const { queueMs: ms } = this;
        const queueMs = { interactive: ms, completion: ms, agent: ms, background: ms };
        return { waiting: 0, running: 0, plansInFlight: 0, kv: [], queueMs };
      },
      metrics: async () => ({}),
      close: async () => {
        this.isClosed = true;
      },
    };
    return engine as unknown as EngineApi;
  }

  readonly #create = async (
    request: ScriptedRequest,
    { signal }: { signal?: AbortSignal } = {},
  ) => {
    const script = this.#answer(request, this.asked.push(request) - 1);
    const [first] = script;
    if (first instanceof Error) throw first;
    return this.#chunks(script, signal);
  };

  async *#chunks(script: readonly Scripted[], signal: AbortSignal | undefined) {
    const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1e9, model: "m" };
    let isOver = false;
    let numTokens = 0;
    try {
      for (const said of script) {
        if (said instanceof Error) throw said;
        if (said === "forever") await aborted(signal);
        else if ("finish" in (said as object)) {
          const { finish } = said as { finish: string };
          const usage = {
            ...{ prompt_tokens: 7, completion_tokens: numTokens, total_tokens: 7 + numTokens },
            prompt_tokens_details: { cached_tokens: 4 },
            completion_tokens_details: { reasoning_tokens: 1 },
          };
          isOver = true;
          yield { ...head, choices: [choice({}, finish)] };
          yield { ...head, choices: [], usage };
        } else {
          numTokens += 1;
          yield { ...head, choices: [choice(said as object, null)] };
        }
      }
      isOver = true;
    } finally {
      if (!isOver) this.numAbandoned += 1;
    }
  }
}

const choice = (delta: object, reason: string | null) => ({
  ...{ index: 0, delta, logprobs: null, finish_reason: reason },
});

const aborted = (signal: AbortSignal | undefined) =>
  new Promise<never>((_, reject) => {
    const fail = () =>
      reject(Object.assign(new Error("aborted by the caller"), { code: "aborted" }));
    if (signal?.aborted) fail();
    signal?.addEventListener("abort", fail);
  });
