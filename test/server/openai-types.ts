// What the type-check proves: our answers are answers of OpenAI's to whoever reads them by its types, and what
// its client sends is a request of ours. Nothing here runs.

import type OpenAI from "openai";
import type * as weft from "../../index.ts";

type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T;

/** An error unless the first fits the second. */
type Fits<Ours extends Theirs, Theirs> = [Ours, Theirs];

export type Answers = [
  Fits<Mutable<weft.ChatCompletion>, OpenAI.ChatCompletion>,
  Fits<Mutable<weft.ChatCompletionChunk>, OpenAI.ChatCompletionChunk>,
  Fits<Mutable<weft.Completion>, OpenAI.Completion>,
  Fits<Mutable<weft.EmbeddingResponse>, OpenAI.CreateEmbeddingResponse>,
  Fits<Mutable<weft.Model>, OpenAI.Model>,
];

type Params = OpenAI.ChatCompletionCreateParams;
/** Of OpenAI's tools some are not functions, and are refused. */
type Shared = Exclude<keyof weft.ChatCompletionRequest & keyof Params, "tools" | "tool_choice">;

export type Requests = [
  Fits<Pick<Params, Shared>, Pick<weft.ChatCompletionRequest, Shared>>,
  Fits<OpenAI.EmbeddingCreateParams, weft.EmbeddingRequest>,
  Fits<OpenAI.ChatCompletionFunctionTool, weft.ChatTool>,
  Fits<OpenAI.ChatCompletionNamedToolChoice, weft.ToolChoice>,
  Fits<
    Omit<OpenAI.CompletionCreateParamsNonStreaming, "prompt">,
    Omit<weft.CompletionRequest, "prompt">
  >,
];
