/** The public door for pages written for Chrome's Prompt API: a session of its shape with a model of ours. */
export type { PromptTool } from "./apps/prompt-api/answering.ts";
export type { CreateMonitor, DownloadProgressEvent } from "./apps/prompt-api/create-monitor.ts";
export { LocalLanguageModel } from "./apps/prompt-api/local-language-model.ts";
export type { Availability, ModelSource } from "./apps/prompt-api/model-source.ts";
export type {
  LocalLanguageModelCoreOptions,
  LocalLanguageModelOptions,
  PromptOptions,
} from "./apps/prompt-api/options.ts";
export type { PromptContent, PromptInput, PromptMessage } from "./apps/prompt-api/prompt-input.ts";
export type { ResponseConstraint } from "./apps/prompt-api/response-constraint.ts";
export type { SamplingMode } from "./apps/prompt-api/sampling.ts";
