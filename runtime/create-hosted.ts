/** An engine of one model or of several, which may have users on other threads. */
import { type CreateEngineOptions, createEngineWith, type Platform } from "./create-engine.ts";
import type { HostedEngine } from "./engine-api.ts";
import type { ModelSetOptions } from "./model-set/model-set-options.ts";

/** @param model As this platform's users write it. */
type Resolve = (model: CreateEngineOptions["model"]) => CreateEngineOptions["model"];

/** @throws {WeftError} of every kind that loading can. */
export async function createHosted(
  platform: Platform,
  options: CreateEngineOptions | ModelSetOptions,
  resolve: Resolve,
): Promise<HostedEngine> {
  if (!isSet(options)) {
    return createEngineWith(platform, { ...options, model: resolve(options.model) });
  }
  const { createModelSet } = await import("./model-set/create-model-set.ts");
  return createModelSet(platform, options, resolve);
}

const isSet = (options: CreateEngineOptions | ModelSetOptions): options is ModelSetOptions =>
  "models" in options && options.models !== undefined;
