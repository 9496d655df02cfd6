/** OpenAI-shaped embeddings: texts, or token ids, to vectors. */
import type { ModelPlan } from "../load-model.ts";
import { POOLINGS, type Pooling } from "../pooling.ts";
import { type CallOptions, refuse, type SchedulingOptions } from "../request.ts";
import type { TextModel } from "../text-model.ts";
import { refuseLongText } from "./long-text.ts";
import { modelPooling } from "./model-pooling.ts";
import {
  checkModel,
  generateRequest,
  mostPromptTokens,
  type SharedRequest,
} from "./shared-request.ts";

export interface EmbeddingRequest
  extends Pick<
    SharedRequest,
    | "model"
    | "max_prompt_tokens"
    | "priority"
    | "deadline_ms"
    | "client"
    | "program"
    | "cache_salt"
    | "adapter"
  > {
  /** A text, token ids, or a list of either: at most 2,048. */
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  /** `base64` is of little-endian f32, and what OpenAI's clients ask for. */
  readonly encoding_format?: "float" | "base64" | null;
  /** The first so many, for models that were trained to be cut; normalised again. */
  readonly dimensions?: number | null;
  /** By default what the model's `1_Pooling/config.json` or GGUF's `pooling_type` says, or the last token's. */
  readonly pooling?: Pooling | null;
  /** To length 1, unless this is false. */
  readonly normalize?: boolean | null;
}

export interface Embedding {
  readonly object: "embedding";
  readonly index: number;
  /** Numbers, or base64 where that was asked for. */
  readonly embedding: readonly number[];
}

export interface EmbeddingResponse {
  readonly object: "list";
  /** By index, as the inputs. */
  readonly data: readonly Embedding[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

export interface EmbeddingsApi {
  /** @throws {WeftError} `bad_request`, `model_not_found`, `request_too_long`, `aborted`. */
  create(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse>;
}

/** A text to be pooled. */
export interface PooledText {
  readonly promptIds: readonly number[];
  readonly pooling: Pooling;
  readonly maxPromptTokens?: number;
  readonly scheduling: SchedulingOptions;
  readonly adapter: string | undefined;
}

/** What embeddings need of an engine. */
export interface EmbeddingHost {
  readonly text: TextModel;
  readonly plan: Pick<ModelPlan, "spec" | "maxContext">;
  readonly info: { readonly model: { readonly id: string } };
  /** All of them, or an error that ends them all. */
  embed(texts: readonly PooledText[], options?: CallOptions): Promise<readonly Float32Array[]>;
}

/** OpenAI's limit. */
const MAX_INPUTS = 2048;

export async function createEmbeddings(
  engine: EmbeddingHost,
  request: EmbeddingRequest,
  options?: CallOptions,
): Promise<EmbeddingResponse> {
  if (typeof request !== "object" || request === null) refuse("request", request, "an object");
  const { text, plan } = engine;
  const { id: model } = engine.info.model;
  checkModel(request.model, model);
  const { encoding_format: encoding, dimensions, normalize, pooling: asked } = request;
  checkOwn(request, plan.spec.hiddenSize);
  const pooling = asked ?? modelPooling(text.pooling);
  const mostTokens = mostPromptTokens(request, plan.maxContext);
  const texts = inputsOf(request).map((input): PooledText => {
    const checked = generateRequest(request, { prompt: input }, plan.spec.vocabSize, {
      prompt: "input",
    });
    const { prompt, maxPromptTokens, adapter } = checked;
    if (typeof prompt === "string") refuseLongText(prompt, text.tokenizer, mostTokens);
    const { priority, deadlineMs, client, program, cacheSalt } = checked;
    const scheduling = { priority, deadlineMs, client, program, cacheSalt };
    return {
      promptIds: text.encodePrompt(prompt, plan.spec.vocabSize),
      ...{ pooling, maxPromptTokens, scheduling },
      adapter,
    };
  });
  const vectors = await engine.embed(texts, options);
  const data = vectors.map((vector, index): Embedding => {
    const cut = dimensions ? vector.slice(0, dimensions) : vector;
    const whole = (normalize ?? true) ? normalised(cut) : cut;
    // OpenAI's type has no place for what its clients ask for.
    const embedding = (encoding === "base64" ? base64(whole) : [...whole]) as readonly number[];
    return { object: "embedding", index, embedding };
  });
  const tokens = texts.reduce((sum, { promptIds }) => sum + promptIds.length, 0);
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { object: "list", data, model, usage };
}

function inputsOf({ input }: EmbeddingRequest): readonly (string | readonly number[])[] {
  const isIds = (value: unknown) =>
    Array.isArray(value) && value.length > 0 && value.every((id) => typeof id === "number");
  const isText = (value: unknown) => typeof value === "string" && value !== "";
  if (isText(input) || isIds(input)) return [input as string | readonly number[]];
  const isInput = (value: unknown) => isText(value) || isIds(value);
  const isList = Array.isArray(input) && input.length > 0 && input.length <= MAX_INPUTS;
  if (isList && (input as readonly unknown[]).every(isInput)) {
    return input as readonly (string | readonly number[])[];
  }
  return refuse(
    "input",
    input,
    `a text, a list of token ids, or up to ${MAX_INPUTS} of them, none empty`,
  );
}

function checkOwn(request: EmbeddingRequest, size: number): void {
  const { encoding_format: encoding, dimensions, normalize, pooling } = request;
  if (encoding != null && encoding !== "float" && encoding !== "base64") {
    refuse("encoding_format", encoding, "float or base64");
  }
  if (
    dimensions != null &&
    !(Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= size)
  ) {
    refuse("dimensions", dimensions, `an integer from 1 to ${size}`);
  }
  if (normalize != null && typeof normalize !== "boolean") {
    refuse("normalize", normalize, "true or false");
  }
  if (pooling != null && !POOLINGS.includes(pooling)) {
    refuse("pooling", pooling, `one of ${POOLINGS.join(", ")}`);
  }
}

function normalised(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return length > 0 ? vector.map((value) => value / length) : vector;
}

/** Little-endian on every machine. */
function base64(vector: Float32Array): string {
  const view = new DataView(new ArrayBuffer(4 * vector.length));
  for (const [i, value] of vector.entries()) view.setFloat32(4 * i, value, true);
  let text = "";
  for (const byte of new Uint8Array(view.buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}
