/** OpenAI-shaped chat completions over `Engine.generate`, in process. Plain data in, plain data out. */
import { WeftError } from "../errors.ts";
import {
  type CallOptions,
  type GenerateChunk,
  type GenerateRequest,
  refuse,
  type TokenLogprob,
} from "../request.ts";
import type { TextModel } from "../text-model.ts";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatFinishReason,
  ChatTokenLogprob,
} from "./chat-answer.ts";
import type { ChatCompletionRequest } from "./chat-request.ts";
import { checkModel, checkStreaming, generateRequest } from "./shared-request.ts";
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
  readonly plan: { readonly spec: { readonly vocabSize: number } };
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
    if (!request.stream) return collect(all);
    return started(request.stream_options?.include_usage ? all : withoutUsage(all));
  }
  return { completions: { create: create as ChatApi["completions"]["create"] } };
}

/** The prompt that the chat template makes of the messages. @throws {WeftError} */
export function renderChat(
  engine: Pick<ChatHost, "text">,
  request: ChatCompletionRequest,
): number[] {
  const { messages, chat_template_kwargs: variables } = request;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new WeftError(
      "bad_request",
      `messages is ${JSON.stringify(messages) ?? "missing"}, it must be a list with at least one ` +
        "message; add { role: 'user', content: '…' }",
    );
  }
  const { template, tokenizer } = engine.text;
  const text = template.render({ messages, tools: request.tools ?? undefined, variables });
  return tokenizer.encode(text, { addSpecialTokens: false });
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
  const begun = new Set<number>();
  for await (const chunk of engine.generate(tokenRequest(engine, request), options)) {
    const { index, text, finishReason, usage } = chunk;
    const first = !begun.has(index);
    const logprobs = chunk.logprobs
      ? { content: chunk.logprobs.map(openAi(engine)), refusal: null }
      : null;
    if (first || finishReason || text !== "" || logprobs) {
      const delta = {
        ...(first && { role: "assistant" as const }),
        ...(text && { content: text }),
      };
      begun.add(index);
      const choice = { index, delta, logprobs, finish_reason: finishReason ?? null };
      yield { ...head, choices: [choice], usage: null };
    }
    if (usage) yield { ...head, choices: [], usage: completionUsage([usage]) };
  }
}

function tokenRequest(engine: ChatHost, request: ChatCompletionRequest): GenerateRequest {
  refuseUnsupported(request);
  const { top_logprobs: topLogprobs, max_completion_tokens: maxCompletionTokens } = request;
  if (topLogprobs && !request.logprobs) {
    refuse("top_logprobs", topLogprobs, "left out unless logprobs is true");
  }
  const own = {
    prompt: renderChat(engine, request),
    maxTokens: maxCompletionTokens ?? request.max_tokens ?? undefined,
    topLogprobs: request.logprobs ? (topLogprobs ?? 0) : undefined,
  };
  return generateRequest(request, own, engine.plan.spec.vocabSize, {
    ...(maxCompletionTokens != null && { maxTokens: "max_completion_tokens" }),
  });
}

/** Fields of OpenAI's that would change the answer. Others that we do not know change nothing. */
function refuseUnsupported({ response_format: format }: ChatCompletionRequest): void {
  if ((format?.type ?? "text") !== "text") refuse("response_format", format, '{ type: "text" }');
}

async function* withoutUsage(
  chunks: AsyncGenerator<ChatCompletionChunk, void, undefined>,
): AsyncGenerator<ChatCompletionChunk, void, undefined> {
  for await (const { usage, ...chunk } of chunks) if (!usage) yield chunk;
}

async function collect(chunks: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletion> {
  const answers: {
    content: string;
    tokens: ChatTokenLogprob[] | undefined;
    reason: ChatFinishReason | null;
  }[] = [];
  let last: ChatCompletionChunk | undefined;
  for await (const chunk of chunks) {
    last = chunk;
    for (const { index, delta, logprobs, finish_reason } of chunk.choices) {
      answers[index] ??= { content: "", tokens: undefined, reason: null };
      answers[index].content += delta.content ?? "";
      if (logprobs) answers[index].tokens = [...(answers[index].tokens ?? []), ...logprobs.content];
      answers[index].reason = finish_reason;
    }
  }
  const { id, created, model, usage } = last!;
  const choices = answers.map(({ content, tokens, reason }, index) => ({
    index,
    message: { role: "assistant" as const, content, refusal: null },
    logprobs: tokens ? { content: tokens, refusal: null } : null,
    finish_reason: reason!,
  }));
  return { id, object: "chat.completion", created, model, choices, usage: usage! };
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
