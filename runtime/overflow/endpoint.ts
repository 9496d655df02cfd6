/** Chat and text completions alike, as far as an answer that may come from two places needs to know. */
import type { EngineApi } from "../engine-api.ts";
import type { ChatChunkChoice, ChatCompletionChunk } from "../openai/chat-answer.ts";
import type { ChatCompletionRequest } from "../openai/chat-request.ts";
import type {
  CompletionChunk,
  CompletionChunkChoice,
  CompletionRequest,
} from "../openai/completions.ts";
import type { SharedRequest } from "../openai/shared-request.ts";
import type { CallOptions } from "../request.ts";

export interface Endpoint<R extends SharedRequest, Choice extends AnyChoice> {
  readonly path: string;
  readonly object: string;
  readonly idPrefix: string;
  local(
    engine: EngineApi,
    request: R,
    options: CallOptions,
  ): Promise<AsyncIterable<AnyChunk<Choice>>>;
  /** Answers that end one by one. */
  numAnswers(request: R): number;
  /** A choice as we write it; text that is held back is not in it. */
  choice(raw: Choice, text: string): Choice;
  textOf(choice: Choice): string;
  /** It says more than text: nobody can go on behind it exactly. */
  isPlain(choice: Choice): boolean;
  /** The request for the rest of an answer that began with the text; none where that cannot be asked. */
  rest(request: R, text: string): R | undefined;
}

export interface AnyChoice {
  readonly index: number;
  readonly finish_reason: string | null;
}

export interface AnyChunk<Choice> {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly choices: readonly Choice[];
  readonly usage?: ChatCompletionChunk["usage"];
}

const streaming = { stream: true, stream_options: { include_usage: true } } as const;

export const CHAT: Endpoint<ChatCompletionRequest, ChatChunkChoice> = {
  path: "/chat/completions",
  object: "chat.completion.chunk",
  idPrefix: "chatcmpl",
  local: (engine, request, options) =>
    engine.chat.completions.create({ ...request, ...streaming }, options),
  numAnswers: ({ n }) => n ?? 1,
  choice({ index, delta, logprobs, finish_reason: reason }, text) {
    const { role, tool_calls: calls } = delta ?? {};
    const reasoning = reasoningOf(delta);
    return {
      index,
      delta: {
        ...(role === "assistant" && { role }),
        ...(reasoning && { reasoning_content: reasoning }),
        ...(text && { content: text }),
        ...(calls?.length && { tool_calls: calls }),
      },
      logprobs: logprobs ?? null,
      finish_reason: finishReason(reason),
    };
  },
  textOf: ({ delta }) => delta?.content ?? "",
  isPlain: ({ delta }) => !reasoningOf(delta) && !delta?.tool_calls?.length,
  rest(request, text) {
    const { messages, n, response_format: format, tool_choice: choice } = request;
    if ((n ?? 1) > 1 || (format?.type ?? "text") !== "text") return undefined;
    if (choice === "required" || typeof choice === "object") return undefined;
    const last = messages.at(-1);
    const begun = request.continue_final_message ? last : undefined;
    const before = begun ? messages.slice(0, -1) : messages;
    const said = typeof begun?.content === "string" ? begun.content + text : text;
    return {
      ...request,
      messages: [...before, { ...begun, role: "assistant", content: said }],
      ...{ continue_final_message: true, add_generation_prompt: false },
    };
  },
};

export const COMPLETIONS: Endpoint<CompletionRequest, CompletionChunkChoice> = {
  path: "/completions",
  object: "text_completion",
  idPrefix: "cmpl",
  local: (engine, request, options) =>
    engine.completions.create({ ...request, ...streaming }, options),
  numAnswers: ({ prompt, n }) => {
    const isList = Array.isArray(prompt) && typeof prompt[0] !== "number";
    return (isList ? prompt.length : 1) * (n ?? 1);
  },
  choice: ({ index, logprobs, finish_reason: reason }, text) => ({
    ...{ index, text, logprobs: logprobs ?? null },
    finish_reason: reason === null || reason === undefined ? null : lengthOrStop(reason),
  }),
  textOf: ({ text }) => text ?? "",
  isPlain: () => true,
  rest(request, text) {
    const { prompt, n, echo, logprobs } = request;
    if (typeof prompt !== "string" || (n ?? 1) > 1 || echo || logprobs != null) return undefined;
    return { ...request, prompt: prompt + text };
  },
};

/** vLLM's newer name, and the one that it had. */
function reasoningOf(delta: ChatChunkChoice["delta"] | undefined): string {
  const { reasoning_content: content, reasoning } = (delta ?? {}) as {
    reasoning_content?: string | null;
    reasoning?: string | null;
  };
  return content ?? reasoning ?? "";
}

const finishReason = (reason: string | null | undefined): ChatChunkChoice["finish_reason"] => {
  if (reason === null || reason === undefined) return null;
  return reason === "tool_calls" ? reason : lengthOrStop(reason);
};

const lengthOrStop = (reason: string): "length" | "stop" =>
  reason === "length" ? "length" : "stop";

export type { ChatCompletionChunk, CompletionChunk };
