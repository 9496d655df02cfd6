/**
 * What callers send and get back: plain data that survives structuredClone. Owns the checks of a
 * request's own values; what depends on the model is checked by the engine.
 */
import { WeftError } from "./errors.ts";

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

export interface GenerateRequest extends SamplingOptions {
  /** Text, encoded with the model's special tokens, or token ids as they are. */
  readonly prompt: string | readonly number[];
  /** Default: as many as the context holds. */
  readonly maxTokens?: number;
  /** Text that ends the answer and is not part of it; at most 16. */
  readonly stop?: string | readonly string[];
  /** Ends the answer besides the model's own end tokens. */
  readonly stopTokenIds?: readonly number[];
  /** Go on past the model's own end tokens. */
  readonly ignoreEos?: boolean;
  /** Special tokens are left out of the text unless this is false. */
  readonly skipSpecialTokens?: boolean;
}

export interface TokenLogprob {
  readonly tokenId: number;
  readonly logprob: number;
}

export type FinishReason = "stop" | "length";

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** One piece of an answer; the last one has `finishReason` and `usage`. */
export interface GenerateChunk {
  /** May be empty: a token can wait for the rest of a character or of a stop text. */
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** One per token, only when asked for: the token itself, then the likeliest. */
  readonly logprobs?: readonly (readonly TokenLogprob[])[];
  readonly finishReason?: FinishReason;
  readonly usage?: Usage;
}

const MAX_STOPS = 16;
export const MAX_BIAS_ENTRIES = 300;

/** @throws {WeftError} `bad_request` that names the value. */
export function checkRequest(request: GenerateRequest): void {
  const { prompt, maxTokens, topK, seed, topLogprobs, logitBias, stopTokenIds } = request;
  if (typeof prompt !== "string" && !isIdList(prompt)) {
    refuse("prompt", prompt, "a text or a list of token ids");
  }
  within("maxTokens", maxTokens, 0, Number.MAX_SAFE_INTEGER, true);
  within("temperature", request.temperature, 0, 100);
  within("topK", topK, 0, 2 ** 31, true);
  within("topP", request.topP, Number.MIN_VALUE, 1);
  within("minP", request.minP, 0, 1);
  within("seed", seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, true);
  within("repetitionPenalty", request.repetitionPenalty, 0.01, 100);
  within("presencePenalty", request.presencePenalty, -2, 2);
  within("frequencyPenalty", request.frequencyPenalty, -2, 2);
  within("topLogprobs", topLogprobs, 0, 20, true);
  const stops = stopList(request);
  if (!stops.every((stop) => typeof stop === "string" && stop !== "")) {
    refuse("stop", request.stop, "a text or texts that are not empty");
  }
  if (stops.length > MAX_STOPS) refuse("stop", `${stops.length} texts`, `at most ${MAX_STOPS}`);
  if (stopTokenIds !== undefined && !isIdList(stopTokenIds)) {
    refuse("stopTokenIds", stopTokenIds, "a list of token ids");
  }
  if (logitBias !== undefined) checkBias(logitBias);
}

export const stopList = ({ stop }: GenerateRequest): readonly string[] =>
  stop === undefined ? [] : typeof stop === "string" ? [stop] : stop;

function checkBias(logitBias: Readonly<Record<string, number>>): void {
  if (typeof logitBias !== "object" || logitBias === null) {
    refuse("logitBias", logitBias, "an object from token id to number");
  }
  const entries = Object.entries(logitBias);
  if (entries.length > MAX_BIAS_ENTRIES) {
    refuse("logitBias", `${entries.length} entries`, `at most ${MAX_BIAS_ENTRIES}`);
  }
  for (const [id, bias] of entries) {
    if (!/^\d+$/.test(id)) refuse("logitBias", id, "token ids as keys");
    within(`logitBias[${id}]`, bias, -100, 100);
  }
}

function within(name: string, value: unknown, low: number, high: number, integer = false): void {
  if (value === undefined) return;
  const fits = typeof value === "number" && value >= low && value <= high;
  if (fits && (!integer || Number.isSafeInteger(value))) return;
  refuse(name, value, `${integer ? "an integer" : "a number"} from ${low} to ${high}`);
}

const isIdList = (value: unknown): value is readonly number[] =>
  (Array.isArray(value) || value instanceof Uint32Array) &&
  value.every((id) => Number.isSafeInteger(id) && id >= 0);

function refuse(name: string, actual: unknown, required: string): never {
  const shown = typeof actual === "string" ? actual : (JSON.stringify(actual) ?? String(actual));
  throw new WeftError(
    "bad_request",
    `${name} is ${shown.slice(0, 80)}, it must be ${required}; change the request`,
  );
}
