/** OpenAI-shaped text completions over `Engine.generate`: one prompt or many, as texts or as token ids. */
import { WeftError } from "../errors.ts";
import {
  type CallOptions,
  type FinishReason,
  refuse,
  type TokenLogprob,
  type Usage,
} from "../request.ts";
import type { ChatHost } from "./chat.ts";
import { refuseLongText } from "./long-text.ts";
import { merged } from "./merged-streams.ts";
import {
  checkModel,
  checkStreaming,
  generateRequest,
  mostPromptTokens,
  type SharedRequest,
} from "./shared-request.ts";
import { started } from "./started-stream.ts";
import { type CompletionUsage, completionUsage } from "./usage.ts";

export interface CompletionRequest extends SharedRequest {
  /** A text, token ids, or a list of either: at most 128. */
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  /** The prompt goes before the answer's text. */
  readonly echo?: boolean | null;
  /** Logprobs of each token, and of so many of the likeliest: 0 to 5. */
  readonly logprobs?: number | null;
}

/** One entry per token. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
  /** Of each token in the text. */
  readonly text_offset: readonly number[];
}

export interface CompletionChoice {
  /** Those of the second prompt follow the `n` of the first. */
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  readonly finish_reason: FinishReason;
}

export interface CompletionChunkChoice extends Omit<CompletionChoice, "finish_reason"> {
  readonly finish_reason: FinishReason | null;
}

interface CompletionHead {
  readonly id: string;
  readonly object: "text_completion";
  readonly created: number;
  readonly model: string;
}

export interface CompletionChunk extends CompletionHead {
  readonly choices: readonly CompletionChunkChoice[];
  /** Of a request with `include_usage`: the last chunk's, null before. */
  readonly usage?: CompletionUsage | null;
}

export interface Completion extends CompletionHead {
  readonly choices: readonly CompletionChoice[];
  readonly usage: CompletionUsage;
}

type Streaming = CompletionRequest & { readonly stream: true };

export interface CompletionsApi {
  /** @throws {WeftError} `bad_request`, `model_not_found`, and as `generate` does. */
  create(request: Streaming, options?: CallOptions): Promise<AsyncIterable<CompletionChunk>>;
  create(request: CompletionRequest, options?: CallOptions): Promise<Completion>;
}

const MAX_PROMPTS = 128;
const MAX_LOGPROBS = 5;

/** @param chunks Of a request's answers, wherever they are made, as with `include_usage`. */
export function completionsOver(
  chunks: (
    request: CompletionRequest,
    options?: CallOptions,
  ) => AsyncGenerator<CompletionChunk, void, undefined>,
): CompletionsApi {
  async function create(request: CompletionRequest, options?: CallOptions) {
    checkStreaming(request);
    const all = chunks(request, options);
    if (!request.stream) return collect(all);
    return started(request.stream_options?.include_usage ? all : withoutUsage(all));
  }
  return { create: create as CompletionsApi["create"] };
}

export async function* streamCompletions(
  engine: ChatHost,
  request: CompletionRequest,
  options?: CallOptions,
): AsyncGenerator<CompletionChunk, void, undefined> {
  const { id: model } = engine.info.model;
  checkModel(request.model, model);
  const prompts = promptsOf(request);
  const { n } = request;
  refuseUnsupported(request);
  const { spec, maxContext } = engine.plan;
  const requests = prompts.map((prompt) => {
    if (typeof prompt === "string") {
      refuseLongText(prompt, engine.text.tokenizer, mostPromptTokens(request, maxContext));
    }
    const own = {
      prompt,
      // OpenAI's default, which is no answer's length but a safe one.
      maxTokens: request.max_tokens ?? 16,
      topLogprobs: request.logprobs ?? undefined,
    };
    return generateRequest(request, own, spec.vocabSize, { topLogprobs: "logprobs" });
  });
  const head = {
    id: `cmpl-${crypto.randomUUID()}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model,
  } as const;
  const usages: Usage[] = [];
  const texts = new Map<number, number>();
  const streams = requests.map(
    (each) => (signal: AbortSignal) => engine.generate(each, { ...options, signal }),
  );
  for await (const { from, value } of merged(streams, options?.signal)) {
    const index = from * (n ?? 1) + value.index;
    const isFirst = !texts.has(index);
    const { text: piece, finishReason } = value;
    if (isFirst || piece !== "" || finishReason || value.logprobs) {
      const text = isFirst && request.echo ? echoOf(engine, prompts[from]) + piece : piece;
      const offset = texts.get(index) ?? text.length - piece.length;
      const logprobs = value.logprobs ? logprobsOf(engine, value.logprobs, offset) : null;
      texts.set(index, offset + piece.length);
      const choice = { index, text, logprobs, finish_reason: finishReason ?? null };
      yield { ...head, choices: [choice], usage: null };
    }
    if (value.usage) usages.push(value.usage);
  }
  yield { ...head, choices: [], usage: completionUsage(usages) };
}

function promptsOf({ prompt }: CompletionRequest): readonly (string | readonly number[])[] {
  const isIds = (value: unknown) =>
    Array.isArray(value) && value.length > 0 && value.every((id) => typeof id === "number");
  if (typeof prompt === "string" || isIds(prompt)) return [prompt as string | number[]];
  const isList = Array.isArray(prompt) && prompt.length > 0 && prompt.length <= MAX_PROMPTS;
  const isPrompt = (value: unknown) => typeof value === "string" || isIds(value);
  if (isList && (prompt as readonly unknown[]).every(isPrompt)) {
    return prompt as readonly (string | readonly number[])[];
  }
  return refuse("prompt", prompt, `a text, a list of token ids, or up to ${MAX_PROMPTS} of them`);
}

/** Fields that would change the answer. Others that we do not know change nothing. */
function refuseUnsupported(request: CompletionRequest): void {
  const {
    suffix,
    best_of: bestOf,
    logprobs,
    n,
  } = request as CompletionRequest & {
    suffix?: unknown;
    best_of?: unknown;
  };
  if (suffix != null) refuse("suffix", suffix, "left out: no model here fills in a middle");
  if (bestOf != null && bestOf !== (n ?? 1)) refuse("best_of", bestOf, "left out, or as n is");
  if (
    logprobs != null &&
    !(Number.isInteger(logprobs) && logprobs >= 0 && logprobs <= MAX_LOGPROBS)
  ) {
    refuse("logprobs", logprobs, `an integer from 0 to ${MAX_LOGPROBS}`);
  }
}

const echoOf = ({ text: { tokenizer } }: ChatHost, prompt: string | readonly number[]): string =>
  typeof prompt === "string" ? prompt : tokenizer.decode(prompt, { skipSpecialTokens: false });

function logprobsOf(
  { text: { tokenizer } }: ChatHost,
  logprobs: readonly (readonly TokenLogprob[])[],
  offset: number,
): CompletionLogprobs {
  const written = ({ tokenId }: TokenLogprob) =>
    tokenizer.decode([tokenId], { skipSpecialTokens: false });
  return {
    tokens: logprobs.map(([sampled]) => written(sampled)),
    token_logprobs: logprobs.map(([sampled]) => sampled.logprob),
    top_logprobs: logprobs.map(([, ...top]) =>
      Object.fromEntries(top.map((entry) => [written(entry), entry.logprob])),
    ),
    text_offset: logprobs.map(() => offset),
  };
}

async function* withoutUsage(
  chunks: AsyncGenerator<CompletionChunk, void, undefined>,
): AsyncGenerator<CompletionChunk, void, undefined> {
  for await (const { usage, ...chunk } of chunks) if (!usage) yield chunk;
}

async function collect(chunks: AsyncIterable<CompletionChunk>): Promise<Completion> {
  const answers: { -readonly [K in keyof CompletionChunkChoice]: CompletionChunkChoice[K] }[] = [];
  let last: CompletionChunk | undefined;
  for await (const chunk of chunks) {
    last = chunk;
    for (const choice of chunk.choices) {
      const answer = answers[choice.index];
      if (answer === undefined) {
        answers[choice.index] = { ...choice };
        continue;
      }
      answer.text += choice.text;
      answer.finish_reason = choice.finish_reason;
      answer.logprobs = joined(answer.logprobs, choice.logprobs);
    }
  }
  if (!last?.usage) throw new WeftError("internal", "a completion ended without its usage");
  const { usage, ...head } = last;
  return { ...head, choices: answers as readonly CompletionChoice[], usage };
}

function joined(
  first: CompletionLogprobs | null,
  next: CompletionLogprobs | null,
): CompletionLogprobs | null {
  if (!first || !next) return first ?? next;
  return {
    tokens: [...first.tokens, ...next.tokens],
    token_logprobs: [...first.token_logprobs, ...next.token_logprobs],
    top_logprobs: [...first.top_logprobs, ...next.top_logprobs],
    text_offset: [...first.text_offset, ...next.text_offset],
  };
}
