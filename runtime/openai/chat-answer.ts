/** What a chat completion answers, whole or chunk by chunk, in OpenAI's words. Plain data. */
import type { CompletionUsage } from "./usage.ts";

export type ChatFinishReason = "stop" | "length" | "tool_calls";

export interface ChatTokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
  readonly top_logprobs: readonly Omit<ChatTokenLogprob, "top_logprobs">[];
}

export interface ChatLogprobs {
  readonly content: readonly ChatTokenLogprob[];
  readonly refusal: null;
}

export interface ChatToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: {
    readonly name: string;
    /** JSON, as the model wrote it. */
    readonly arguments: string;
  };
}

/** The first of a call has its `id`, `type` and name; arguments come piece by piece. */
export interface ChatToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name?: string; readonly arguments?: string };
}

export interface ChatDelta {
  readonly role?: "assistant";
  readonly content?: string;
  /** What the model thinks before it answers; not OpenAI's, but DeepSeek's, vLLM's and SGLang's. */
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ChatToolCallDelta[];
}

export interface ChatChunkChoice {
  readonly index: number;
  readonly delta: ChatDelta;
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: ChatFinishReason | null;
}

export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  readonly created: number;
  readonly model: string;
  /** One, those of several answers as they are made; none beside the usage. */
  readonly choices: readonly ChatChunkChoice[];
  /** Of a request with `include_usage`: the last chunk's, null before. */
  readonly usage?: CompletionUsage | null;
}

export interface ChatAnswerMessage {
  readonly role: "assistant";
  /** Null where the model called tools and said nothing. */
  readonly content: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ChatToolCall[];
  readonly refusal: null;
}

export interface ChatCompletionChoice {
  readonly index: number;
  readonly message: ChatAnswerMessage;
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: ChatFinishReason;
}

export interface ChatCompletion {
  readonly id: string;
  readonly object: "chat.completion";
  readonly created: number;
  readonly model: string;
  /** By index. */
  readonly choices: readonly ChatCompletionChoice[];
  readonly usage: CompletionUsage;
}
