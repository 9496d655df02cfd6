/**
 * What chat and text completions ask alike, in OpenAI's words and in vLLM's where OpenAI has none, and
 * what it is in the engine's. Owns the names; values are checked as those of any request.
 */
import { WeftError } from "../errors.ts";
import { checkRequest, type GenerateRequest, refuse, type SchedulingOptions } from "../request.ts";

export interface SharedRequest {
  /** The engine's, as `models.list()` names it; may be left out. */
  readonly model?: string;
  readonly stream?: boolean | null;
  /** `include_usage`: one chunk more, without choices, that tells what was counted. */
  readonly stream_options?: { readonly include_usage?: boolean } | null;
  /** Answers to a prompt, which is computed once: 1 to 128. Each draws with a seed of its own. */
  readonly n?: number | null;
  readonly max_tokens?: number | null;
  /** A longer prompt is refused. */
  readonly max_prompt_tokens?: number | null;
  readonly temperature?: number | null;
  readonly top_p?: number | null;
  readonly top_k?: number | null;
  readonly min_p?: number | null;
  readonly seed?: number | null;
  readonly stop?: string | readonly string[] | null;
  readonly repetition_penalty?: number | null;
  readonly presence_penalty?: number | null;
  readonly frequency_penalty?: number | null;
  readonly logit_bias?: Readonly<Record<string, number>> | null;
  readonly priority?: SchedulingOptions["priority"];
  readonly deadline_ms?: number;
  readonly client?: string;
  readonly program?: string;
  readonly session?: string;
  readonly cache_salt?: string;
  readonly adapter?: string;
  readonly layer_policy?: GenerateRequest["layerPolicy"];
}

/** What differs: the prompt, and what an endpoint calls by another name. */
type Own = Pick<
  GenerateRequest,
  | ("prompt" | "maxTokens" | "topLogprobs" | "skipSpecialTokens" | "constraint" | "thinking")
  | "goesOn"
>;

/**
 * @param nameOf What the endpoint calls a field, where that is not its name in snake_case.
 * @throws {WeftError} `bad_request` that names the field.
 */
export function generateRequest(
  request: SharedRequest,
  own: Own,
  vocabSize: number,
  nameOf: Readonly<Record<string, string>> = {},
): GenerateRequest {
  const generate = {
    ...own,
    n: request.n,
    maxPromptTokens: request.max_prompt_tokens,
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
  checkRequest(complete, vocabSize, (field) => nameOf[field] ?? snakeCase(field));
  return complete;
}

/** Of its prompt, as far as the request is right: what is wrong with it is told later. */
export const mostPromptTokens = ({ max_prompt_tokens: own }: SharedRequest, maxContext: number) =>
  typeof own === "number" && own > 0 && own < maxContext ? own : maxContext;

/** Of a request as its caller wrote it. @throws {WeftError} `bad_request`. */
export function checkStreaming(request: SharedRequest): void {
  if (typeof request !== "object" || request === null) refuse("request", request, "an object");
  const { stream, stream_options: options } = request;
  if (options && !stream) refuse("stream_options", options, "left out unless stream is true");
}

/** @throws {WeftError} `model_not_found` where the request names another than this one. */
export function checkModel(asked: unknown, id: string): void {
  if (asked === undefined || asked === null || asked === id) return;
  if (typeof asked !== "string") refuse("model", asked, "a text");
  throw new WeftError(
    "model_not_found",
    `model is ${JSON.stringify(asked.slice(0, 80))}, this engine has ${JSON.stringify(id)}; name that one, or leave model out`,
  );
}

const snakeCase = (field: string): string =>
  field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
