/** OpenAI-shaped chat completions over `Engine.generate`, in process. Plain data in, plain data out. */
import { WeftError } from "./errors.ts";
import {
  type CallOptions,
  checkRequest,
  type FinishReason,
  type GenerateChunk,
  type GenerateRequest,
  refuse,
  type SchedulingOptions,
  type TokenLogprob,
} from "./request.ts";
import type { TextModel } from "./text-model.ts";

export interface ChatMessage {
  readonly role: string;
  readonly content?: string | null;
  readonly [field: string]: unknown;
}

export interface ChatCompletionRequest {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly object[];
  readonly stream?: boolean;
  /** Answers to the messages, which are computed once: 1 to 128. Each draws with a seed of its own. */
  readonly n?: number;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly top_k?: number;
  readonly min_p?: number;
  readonly seed?: number;
  readonly stop?: string | readonly string[];
  readonly repetition_penalty?: number;
  readonly presence_penalty?: number;
  readonly frequency_penalty?: number;
  readonly logit_bias?: Readonly<Record<string, number>>;
  readonly logprobs?: boolean;
  readonly top_logprobs?: number;
  readonly priority?: SchedulingOptions["priority"];
  readonly deadline_ms?: number;
  readonly client?: string;
  readonly program?: string;
  readonly session?: string;
  readonly cache_salt?: string;
  readonly adapter?: string;
  readonly layer_policy?: GenerateRequest["layerPolicy"];
  /** More variables for the chat template, e.g. `{ enable_thinking: false }`. */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>>;
}

export interface ChatCompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly layers_executed?: number;
  readonly lossy?: boolean;
}

export interface ChatTokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
  readonly top_logprobs: readonly Omit<ChatTokenLogprob, "top_logprobs">[];
}

interface Logprobs {
  readonly content: readonly ChatTokenLogprob[];
}

export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  readonly created: number;
  readonly model: string;
  /** One; those of several answers come as they are made. */
  readonly choices: readonly [
    {
      readonly index: number;
      readonly delta: { readonly role?: "assistant"; readonly content?: string };
      readonly logprobs: Logprobs | null;
      readonly finish_reason: FinishReason | null;
    },
  ];
  readonly usage?: ChatCompletionUsage;
}

export interface ChatCompletionChoice {
  readonly index: number;
  readonly message: { readonly role: "assistant"; readonly content: string };
  readonly logprobs: Logprobs | null;
  readonly finish_reason: FinishReason;
}

export interface ChatCompletion {
  readonly id: string;
  readonly object: "chat.completion";
  readonly created: number;
  readonly model: string;
  /** By index. */
  readonly choices: readonly ChatCompletionChoice[];
  readonly usage: ChatCompletionUsage;
}

type Streaming = ChatCompletionRequest & { readonly stream: true };

export interface ChatApi {
  readonly completions: {
    create(request: Streaming, options?: CallOptions): Promise<AsyncIterable<ChatCompletionChunk>>;
    create(request: ChatCompletionRequest, options?: CallOptions): Promise<ChatCompletion>;
  };
}

/** What chat needs of an engine. */
export interface ChatHost {
  readonly text: TextModel;
  readonly plan: { readonly spec: { readonly modelType: string; readonly vocabSize: number } };
  generate(request: GenerateRequest, options?: CallOptions): AsyncIterable<GenerateChunk>;
}

export const chatApi = (engine: ChatHost): ChatApi =>
  chatOver((request, options) => streamChat(engine, request, options));

/** @param chunks Of a request's answers, wherever they are made. */
export function chatOver(
  chunks: (
    request: ChatCompletionRequest,
    options?: CallOptions,
  ) => AsyncGenerator<ChatCompletionChunk, void, undefined>,
): ChatApi {
  async function create(request: ChatCompletionRequest, options?: CallOptions) {
    if (typeof request !== "object" || request === null) refuse("request", request, "an object");
    return request.stream ? started(chunks(request, options)) : collect(chunks(request, options));
  }
  return { completions: { create: create as ChatApi["completions"]["create"] } };
}

/** The prompt that the chat template makes of the messages. @throws {WeftError} */
export function renderChat(engine: ChatHost, request: ChatCompletionRequest): number[] {
  const { messages, tools, chat_template_kwargs: variables } = request;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new WeftError(
      "bad_request",
      `messages is ${JSON.stringify(messages) ?? "missing"}, it must be a list with at least one ` +
        "message; add { role: 'user', content: '…' }",
    );
  }
  const { template, tokenizer } = engine.text;
  const text = template.render({ messages, tools, variables });
  return tokenizer.encode(text, { addSpecialTokens: false });
}

async function* streamChat(
  engine: ChatHost,
  request: ChatCompletionRequest,
  options?: CallOptions,
): AsyncGenerator<ChatCompletionChunk, void, undefined> {
  const head = {
    id: `chatcmpl-${crypto.randomUUID()}`,
    object: "chat.completion.chunk",
    created: Math.floor(Date.now() / 1000),
    model: engine.plan.spec.modelType,
  } as const;
  const begun = new Set<number>();
  for await (const chunk of engine.generate(tokenRequest(engine, request), options)) {
    const { index, text, finishReason, usage } = chunk;
    const first = !begun.has(index);
    const logprobs = chunk.logprobs ? { content: chunk.logprobs.map(openAi(engine)) } : null;
    if (!first && !finishReason && text === "" && !logprobs) continue;
    const delta = { ...(first && { role: "assistant" as const }), ...(text && { content: text }) };
    begun.add(index);
    yield {
      ...head,
      choices: [{ index, delta, logprobs, finish_reason: finishReason ?? null }],
      ...(usage && { usage: openAiUsage(usage) }),
    };
  }
}

function tokenRequest(engine: ChatHost, request: ChatCompletionRequest): GenerateRequest {
  refuseUnsupported(request);
  const { top_logprobs: topLogprobs } = request;
  if (topLogprobs && !request.logprobs) {
    refuse("top_logprobs", topLogprobs, "left out unless logprobs is true");
  }
  const generate: GenerateRequest = {
    prompt: renderChat(engine, request),
    n: request.n,
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    seed: request.seed,
    stop: request.stop,
    repetitionPenalty: request.repetition_penalty,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    logitBias: request.logit_bias,
    topLogprobs: request.logprobs ? (topLogprobs ?? 0) : undefined,
    priority: request.priority,
    deadlineMs: request.deadline_ms,
    client: request.client,
    program: request.program,
    session: request.session,
    cacheSalt: request.cache_salt,
    adapter: request.adapter,
    layerPolicy: request.layer_policy,
  };
  // OpenAI's clients write null for what is left out.
  const given = Object.entries(generate).map(([field, value]) => [field, value ?? undefined]);
  const complete: GenerateRequest = Object.fromEntries(given);
  checkRequest(complete, engine.plan.spec.vocabSize, (field) =>
    field === "maxTokens" && request.max_completion_tokens != null
      ? "max_completion_tokens"
      : field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  return complete;
}

/** Fields of OpenAI's that would change the answer. Others that we do not know change nothing. */
function refuseUnsupported(request: ChatCompletionRequest): void {
  const { response_format: format } = request as { response_format?: unknown };
  const type = (format as { type?: unknown } | null | undefined)?.type ?? "text";
  if (type !== "text") refuse("response_format", format, '{ type: "text" }');
}

/**
 * Reports a refused request from `create` itself, not from the first turn of the reader's loop. A
 * reader that leaves, even before its first turn, aborts the request.
 */
async function started(
  chunks: AsyncGenerator<ChatCompletionChunk, void, undefined>,
): Promise<AsyncIterable<ChatCompletionChunk>> {
  let first: IteratorResult<ChatCompletionChunk, void> | undefined = await chunks.next();
  const next = () => {
    const result = first ? Promise.resolve(first) : chunks.next();
    first = undefined;
    return result;
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: () => chunks.return() }) };
}

async function collect(chunks: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletion> {
  const answers: { content: string; tokens: ChatTokenLogprob[]; reason?: FinishReason | null }[] =
    [];
  let last: ChatCompletionChunk | undefined;
  for await (const chunk of chunks) {
    const [{ index, delta, logprobs, finish_reason }] = chunk.choices;
    answers[index] ??= { content: "", tokens: [] };
    answers[index].content += delta.content ?? "";
    if (logprobs) answers[index].tokens.push(...logprobs.content);
    answers[index].reason = finish_reason;
    last = chunk;
  }
  const { id, created, model, usage } = last!;
  const choices = answers.map(({ content, tokens, reason }, index) => ({
    index,
    message: { role: "assistant" as const, content },
    logprobs: tokens.length > 0 ? { content: tokens } : null,
    finish_reason: reason!,
  }));
  return { id, object: "chat.completion", created, model, choices, usage: usage! };
}

const openAiUsage = (usage: NonNullable<GenerateChunk["usage"]>): ChatCompletionUsage => {
  const { promptTokens, completionTokens, layersExecuted, lossy } = usage;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(lossy !== undefined && { layers_executed: layersExecuted, lossy }),
  };
};

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
