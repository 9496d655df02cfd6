/**
 * What callers send and get back: plain data that survives structuredClone. Owns the checks of a
 * request's own values; what depends on the model is checked by the engine.
 */
import { PRIORITIES, type Priority } from "../scheduler/priority.ts";
import type { ConstraintSpec } from "./constraint/constraint.ts";
import { WeftError } from "./errors.ts";
import type { ThinkingOptions } from "./guide/thinking-guide.ts";
import type { LayerPolicy } from "./layer-policy.ts";

/** What goes beside a request: it cannot be cloned, so a transport maps it. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** How the next token is chosen. Left-out values come from generation_config.json, else are off. */
export interface SamplingOptions {
  /** 0 is greedy. */
  readonly temperature?: number;
  /** 0 is off. */
  readonly topK?: number;
  /** 1 is off. */
  readonly topP?: number;
  /** 0 is off. */
  readonly minP?: number;
  /** Any integer; the same seed gives the same tokens. Random when left out. */
  readonly seed?: number;
  /** 1 is off. */
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  /** Added to a token's logit, by token id; -100 or less bans it. At most 300 entries. */
  readonly logitBias?: Readonly<Record<string, number>>;
  /** Report the sampled token's logprob and those of this many of the likeliest, 0 to 20. */
  readonly topLogprobs?: number;
}

/** Whose turn it is when not all requests can run at once. */
export interface SchedulingOptions {
  /**
   * Most urgent first: `interactive` (the default), `completion`, `agent`, `background`. A request
   * that waits gains a class every half minute. A `completion` ends those before it of the same
   * client and program with `superseded`: for text that is typed on, the latest wins.
   */
  readonly priority?: Priority;
  /** Its first token is wanted within so many milliseconds, of a `completion` all of them. */
  readonly deadlineMs?: number;
  /** Clients of a class get equal shares of the GPU. Default: all requests are one client's. */
  readonly client?: string;
  /** Requests of one program are served as if they had come with its first. */
  readonly program?: string;
  /** `id` of an `engine.session()`, which may hold what this request computes for the next one. */
  readonly session?: string;
  /**
   * Nothing computed is shared with requests of another salt, so that the time to a first token tells
   * nobody what others asked. Default: all requests have one.
   */
  readonly cacheSalt?: string;
}

export interface GenerateRequest extends SamplingOptions, SchedulingOptions {
  /** One of the engine's `adapters`; the base model when left out. */
  readonly adapter?: string;
  /** Which layers its tokens run; all when left out. */
  readonly layerPolicy?: LayerPolicy;
  /** Text, encoded with the model's special tokens, or token ids as they are. */
  readonly prompt: string | readonly number[];
  /**
   * Answers to the prompt, which is computed once: 1, the default, to 128. With a seed, answer i is the
   * one that a request of its own gets with `seed` + i. `maxTokens` holds for each.
   */
  readonly n?: number;
  /** Default: as many as the context holds. */
  readonly maxTokens?: number;
  /**
   * What the answer is in form. It is whole whenever `maxTokens` has room for the shortest that there is: near
   * the limit, only what leads to an end is sampled. Not with a drafting layer policy's drafts.
   */
  readonly constraint?: ConstraintSpec;
  /** Where thinking ends. The constraint holds for what comes behind. */
  readonly thinking?: ThinkingOptions;
  /** A longer prompt is refused. Default: as many as the context holds. */
  readonly maxPromptTokens?: number;
  /** Text that ends the answer and is not part of it; at most 16. */
  readonly stop?: string | readonly string[];
  /** Ends the answer besides the model's own end tokens. */
  readonly stopTokenIds?: readonly number[];
  /** Go on past the model's own end tokens. */
  readonly ignoreEos?: boolean;
  /** Special tokens are left out of the text unless this is false. */
  readonly skipSpecialTokens?: boolean;
  /** The answer's text goes on with that of the prompt. Default: behind a text it does, behind ids not. */
  readonly goesOn?: boolean;
}

export interface TokenLogprob {
  readonly tokenId: number;
  readonly logprob: number;
}

export type FinishReason = "stop" | "length";

export interface Usage {
  /** Counted once, whatever the number of answers. */
  readonly promptTokens: number;
  /** Of all answers. */
  readonly completionTokens: number;
  /**
   * Of a request with a layer policy: layers run for a token of the answer on average, those of drafts
   * and their verification included; a sublayer counts as half.
   */
  readonly layersExecuted?: number;
  /** Of such a request: its answer may differ from the whole model's. */
  readonly lossy?: boolean;
}

/** One piece of an answer; its last has `finishReason`, and the last of all answers `usage`. */
export interface GenerateChunk {
  /** Which of the `n` answers, from 0 on; their pieces come as they are made. */
  readonly index: number;
  /** May be empty: a token can wait for the rest of a character or of a stop text. */
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** One per token, only when asked for: the token itself, then the likeliest. */
  readonly logprobs?: readonly (readonly TokenLogprob[])[];
  readonly finishReason?: FinishReason;
  readonly usage?: Usage;
}

/** OpenAI's limit. Those beyond the rows of a plan come later. */
const MAX_ANSWERS = 128;
const MAX_STOPS = 16;
export const MAX_BIAS_ENTRIES = 300;

interface Problem {
  readonly name: string;
  readonly actual: unknown;
  readonly required: string;
}

/**
 * @param nameOf What the caller calls a field of `GenerateRequest`.
 * @throws {WeftError} `bad_request` that names the value.
 */
export function checkRequest(
  request: GenerateRequest,
  vocabSize: number,
  nameOf: (field: string) => string = (field) => field,
): void {
  if (typeof request !== "object" || request === null) refuse("request", request, "an object");
  for (const { name, actual, required } of problems(request, vocabSize)) {
    refuse(nameOf(name), actual, required);
  }
}

/** @throws {WeftError} `bad_request`. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined || typeof signal?.addEventListener === "function") return;
  refuse("signal", signal, "an AbortSignal, as AbortController makes it");
}

/**
 * The last token is sampled and never computed, so it takes no place in the context.
 * @param maxContext Longest sequence, in tokens.
 * @throws {WeftError} `request_too_long`.
 */
export function checkLength(
  numPromptTokens: number,
  maxTokens: number,
  maxContext: number,
  maxPromptTokens = maxContext,
): void {
  if (numPromptTokens > maxPromptTokens && maxPromptTokens < maxContext) {
    throw new WeftError(
      "request_too_long",
      `prompt of ${numPromptTokens} tokens exceeds the ${maxPromptTokens} that a prompt may have; shorten it`,
    );
  }
  const room = maxContext - numPromptTokens + 1;
  if (maxTokens <= room) return;
  const cure = room > 0 ? `ask for at most ${room} new tokens` : "shorten the prompt";
  throw new WeftError(
    "request_too_long",
    `request of ${numPromptTokens} prompt tokens and up to ${maxTokens} new ones exceeds the ` +
      `context of ${maxContext} tokens; ${cure}`,
  );
}

export const stopList = ({ stop }: GenerateRequest): readonly string[] =>
  stop === undefined ? [] : typeof stop === "string" ? [stop] : stop;

/** @throws {WeftError} `bad_request`. */
export function refuse(name: string, actual: unknown, required: string): never {
  const shown = typeof actual === "string" ? actual : (JSON.stringify(actual) ?? String(actual));
  throw new WeftError(
    "bad_request",
    `${name} is ${shown.slice(0, 80)}, it must be ${required}; change the request`,
    { param: name },
  );
}

function* problems(request: GenerateRequest, vocabSize: number): Iterable<Problem> {
  const { prompt, stop, stopTokenIds, logitBias } = request;
  if (typeof prompt !== "string" && !isIdList(prompt)) {
    yield { name: "prompt", actual: prompt, required: "a text or a list of token ids" };
  }
  yield* within("n", request.n, 1, MAX_ANSWERS, true);
  yield* within("maxTokens", request.maxTokens, 0, Number.MAX_SAFE_INTEGER, true);
  yield* within("maxPromptTokens", request.maxPromptTokens, 1, Number.MAX_SAFE_INTEGER, true);
  yield* within("temperature", request.temperature, 0, 100);
  yield* within("topK", request.topK, 0, 2 ** 31, true);
  yield* within("topP", request.topP, Number.MIN_VALUE, 1);
  yield* within("minP", request.minP, 0, 1);
  yield* within("seed", request.seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, true);
  yield* within("repetitionPenalty", request.repetitionPenalty, 0.01, 100);
  yield* within("presencePenalty", request.presencePenalty, -2, 2);
  yield* within("frequencyPenalty", request.frequencyPenalty, -2, 2);
  yield* within("topLogprobs", request.topLogprobs, 0, 20, true);
  yield* within("deadlineMs", request.deadlineMs, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER);
  const { priority = "interactive" } = request;
  if (!PRIORITIES.includes(priority)) {
    yield { name: "priority", actual: priority, required: `one of ${PRIORITIES.join(", ")}` };
  }
  yield* label("client", request.client);
  yield* label("program", request.program);
  yield* label("session", request.session);
  yield* label("cacheSalt", request.cacheSalt);
  yield* label("adapter", request.adapter);
  yield* flag("ignoreEos", request.ignoreEos);
  yield* flag("skipSpecialTokens", request.skipSpecialTokens);
  yield* flag("goesOn", request.goesOn);
  const stops: unknown = stopList(request);
  const isText = (text: unknown) => typeof text === "string" && text !== "";
  if (!Array.isArray(stops) || !stops.every(isText)) {
    yield { name: "stop", actual: stop, required: "a text or texts that are not empty" };
  } else if (stops.length > MAX_STOPS) {
    yield { name: "stop", actual: `${stops.length} texts`, required: `at most ${MAX_STOPS}` };
  }
  if (request.constraint !== undefined && stop !== undefined) {
    yield { name: "stop", actual: stop, required: "left out where the answer has a given form" };
  }
  if (stopTokenIds !== undefined && !isIdList(stopTokenIds)) {
    yield { name: "stopTokenIds", actual: stopTokenIds, required: "a list of token ids" };
  }
  if (logitBias !== undefined) yield* biasProblems(logitBias, vocabSize);
}

function* biasProblems(
  logitBias: Readonly<Record<string, number>>,
  vocabSize: number,
): Iterable<Problem> {
  const name = "logitBias";
  if (typeof logitBias !== "object" || logitBias === null) {
    yield { name, actual: logitBias, required: "an object from token id to number" };
  }
  const entries = Object.entries(logitBias);
  if (entries.length > MAX_BIAS_ENTRIES) {
    yield { name, actual: `${entries.length} entries`, required: `at most ${MAX_BIAS_ENTRIES}` };
  }
  for (const [id, bias] of entries) {
    if (!/^(0|[1-9]\d*)$/.test(id) || Number(id) >= vocabSize) {
      yield { name, actual: id, required: `a token id below ${vocabSize} in each key` };
    }
    yield* within(`${name}[${id}]`, bias, -100, 100);
  }
}

function* within(
  name: string,
  actual: unknown,
  low: number,
  high: number,
  integer = false,
): Iterable<Problem> {
  if (actual === undefined) return;
  const fits = typeof actual === "number" && actual >= low && actual <= high;
  if (fits && (!integer || Number.isSafeInteger(actual))) return;
  yield { name, actual, required: `${integer ? "an integer" : "a number"} from ${low} to ${high}` };
}

function* label(name: string, actual: unknown): Iterable<Problem> {
  if (actual === undefined || typeof actual === "string") return;
  yield { name, actual, required: "a text" };
}

function* flag(name: string, actual: unknown): Iterable<Problem> {
  if (actual === undefined || typeof actual === "boolean") return;
  yield { name, actual, required: "true or false" };
}

const isIdList = (value: unknown): value is readonly number[] =>
  (Array.isArray(value) || value instanceof Uint32Array) &&
  value.every((id) => Number.isSafeInteger(id) && id >= 0);
