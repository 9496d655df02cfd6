/** What a session is made of, and what a prompt may say besides its text, as Chrome's Prompt API names it. */

import type { PromptTool } from "./answering.ts";
import type { CreateMonitor } from "./create-monitor.ts";
import type { ModelSource } from "./model-source.ts";
import type { PromptMessage } from "./prompt-input.ts";
import type { ResponseConstraint } from "./response-constraint.ts";
import type { SamplingOptions } from "./sampling.ts";

export interface ExpectedContent {
  readonly type: "text" | "image" | "audio";
  readonly languages?: readonly string[];
}

export interface LocalLanguageModelCoreOptions extends ModelSource, SamplingOptions {
  readonly expectedInputs?: readonly ExpectedContent[];
  readonly expectedOutputs?: readonly ExpectedContent[];
  readonly tools?: readonly PromptTool[];
}

export interface LocalLanguageModelOptions extends LocalLanguageModelCoreOptions {
  /** What is never forgotten: a system message, examples. */
  readonly initialPrompts?: readonly PromptMessage[];
  readonly monitor?: (monitor: CreateMonitor) => void;
  /** Ends the creation, or the session that came of it. */
  readonly signal?: AbortSignal;
}

export interface PromptOptions {
  /** The answer's form. */
  readonly responseConstraint?: ResponseConstraint;
  /** The model is held to it, and not told of it. */
  readonly omitResponseConstraintInput?: boolean;
  readonly signal?: AbortSignal;
}

export const isText = ({
  expectedInputs = [],
  expectedOutputs = [],
}: LocalLanguageModelCoreOptions) =>
  [...expectedInputs, ...expectedOutputs].every(({ type }) => type === "text");
