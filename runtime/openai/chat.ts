/** OpenAI-shaped chat completions over `Engine.generate`, in process. Plain data in, plain data out. */
import type { CallOptions, GenerateChunk, GenerateRequest, TokenLogprob } from "../request.ts";
import type { TextModel } from "../text-model.ts";
import type { ChatCompletion, ChatCompletionChunk, ChatTokenLogprob } from "./chat-answer.ts";
import { ChatDeltas } from "./chat-deltas.ts";
import { planChat } from "./chat-plan.ts";
import type { ChatCompletionRequest } from "./chat-request.ts";
import { collectChat } from "./collected-chat.ts";
import { checkModel, checkStreaming } from "./shared-request.ts";
import { started } from "./started-stream.ts";
import { completionUsage } from "./usage.ts";

type Streaming = ChatCompletionRequest & { readonly stream: true };

export interface ChatApi {
  readonly completions: {
    /** @throws {WeftError} `bad_request`, `chat_template_failed`, `model_not_found`, and as `generate` does. */
    create(request: Streaming, options?: CallOptions): Promise<AsyncIterable<ChatCompletionChunk>>;
    create(request: ChatCompletionRequest, options?: CallOptions): Promise<ChatCompletion>;
  };
}

/** What chat needs of an engine. */
export interface ChatHost {
  readonly text: TextModel;
  readonly plan: { readonly spec: { readonly vocabSize: number }; readonly maxContext: number };
  readonly info: { readonly model: { readonly id: string } };
  generate(request: GenerateRequest, options?: CallOptions): AsyncIterable<GenerateChunk>;
}

export const chatApi = (engine: ChatHost): ChatApi =>
  chatOver((request, options) => streamChat(engine, request, options));

/** @param chunks Of a request's answers, wherever they are made, as with `include_usage`. */
export function chatOver(
  chunks: (
    request: ChatCompletionRequest,
    options?: CallOptions,
  ) => AsyncGenerator<ChatCompletionChunk, void, undefined>,
): ChatApi {
  async function create(request: ChatCompletionRequest, options?: CallOptions) {
    checkStreaming(request);
    const all = chunks(request, options);
    if (!request.stream) return collectChat(all);
    return started(request.stream_options?.include_usage ? all : withoutUsage(all));
  }
  return { completions: { create: create as ChatApi["completions"]["create"] } };
}

async function* streamChat(
  engine: ChatHost,
  request: ChatCompletionRequest,
  options?: CallOptions,
): AsyncGenerator<ChatCompletionChunk, void, undefined> {
  const { id: model } = engine.info.model;
  checkModel(request.model, model);
  const head = {
    id: `chatcmpl-${crypto.randomUUID()}`,
    object: "chat.completion.chunk",
    created: Math.floor(Date.now() / 1000),
    model,
  } as const;
  const { generate, format, reading } = await planChat(engine, request);
  const answers = Array.from({ length: generate.n ?? 1 }, () => {
    const deltas = new ChatDeltas(format.parser(reading), reading.startsThinking);
    return { deltas, hasBegun: false };
  });
  for await (const chunk of engine.generate(generate, options)) {
    const { index, text, tokenIds, finishReason, usage } = chunk;
    const answer = answers[index];
    const { deltas } = answer;
    const delta = deltas.push(text, tokenIds.length, finishReason !== undefined);
    const logprobs = chunk.logprobs
      ? { content: chunk.logprobs.map(openAi(engine)), refusal: null }
      : null;
    const isEmpty = !delta.content && !delta.reasoning_content && !delta.tool_calls;
    if (!answer.hasBegun || finishReason || !isEmpty || logprobs) {
      answer.hasBegun = true;
      const isCall = finishReason === "stop" && deltas.hasCalls;
      const reason = isCall ? "tool_calls" : (finishReason ?? null);
      const choice = { index, delta, logprobs, finish_reason: reason } as const;
      yield { ...head, choices: [choice], usage: null };
    }
    if (usage) {
      const thought = answers.reduce((sum, { deltas }) => sum + deltas.numThinking, 0);
      const counted = completionUsage([usage], format.thinking && thought);
      yield { ...head, choices: [], usage: counted };
    }
  }
}

async function* withoutUsage(
  chunks: AsyncGenerator<ChatCompletionChunk, void, undefined>,
): AsyncGenerator<ChatCompletionChunk, void, undefined> {
  for await (const { usage, ...chunk } of chunks) if (!usage) yield chunk;
}

const openAi =
  ({ text: { tokenizer } }: ChatHost) =>
  ([sampled, ...likeliest]: readonly TokenLogprob[]): ChatTokenLogprob => {
    const entry = ({ tokenId, logprob }: TokenLogprob) => {
      const bytes = tokenizer.idToBytes(tokenId);
      const token = tokenizer.decode([tokenId], { skipSpecialTokens: false });
      return { token, logprob, bytes: bytes ? [...bytes] : null };
    };
    return { ...entry(sampled), top_logprobs: likeliest.map(entry) };
  };
