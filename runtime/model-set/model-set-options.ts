/** What several models are created with. Plain data where it crosses a port. */
import type { CreateEngineOptions } from "../create-engine.ts";
import { refuse } from "../request.ts";

/** Of one model of several: what an engine of it alone would be created with. */
export interface MemberOptions
  extends Omit<CreateEngineOptions, "name" | "device" | "signal" | "onProgress"> {
  /** Once it is loaded it stays, whoever needs memory. Default false. */
  readonly pinned?: boolean;
}

export interface ModelSetOptions extends Omit<CreateEngineOptions, "model" | "name" | "device"> {
  /**
   * By the names that requests give as `model`: where each is, or that with options of its own, which come
   * before those of all. The first is loaded at once and answers requests that name none.
   */
  readonly models: Readonly<Record<string, CreateEngineOptions["model"] | MemberOptions>>;
  /**
   * Weights, activations and KV caches of all that are loaded together; one that is not used makes place for
   * another. Default: all stay.
   */
  readonly memoryBudgetBytes?: number;
  readonly device?: "gpu" | "reference";
}

/** @throws {WeftError} `bad_request` that names the option. */
export function memberOptions(options: ModelSetOptions): ReadonlyMap<string, MemberOptions> {
  const { models, memoryBudgetBytes, device, signal: _, onProgress: __, ...all } = options;
  if (typeof models !== "object" || models === null || Object.keys(models).length === 0) {
    refuse("models", models, "an object with at least one model by name");
  }
  if (memoryBudgetBytes !== undefined && !(memoryBudgetBytes > 0)) {
    refuse("memoryBudgetBytes", memoryBudgetBytes, "a number above 0");
  }
  if (typeof device === "object") {
    refuse("device", "a device", 'left out, "gpu" or "reference": each model opens its own');
  }
  const members = Object.entries(models).map(([name, given]) => {
    const own = isOptions(given) ? given : { model: given };
    if (own.model === undefined) refuse(`models.${name}.model`, own.model, "where the model is");
    return [name, { ...all, ...own }] as const;
  });
  return new Map(members);
}

/** A folder object has a method to open its files; options have none. */
const isOptions = (given: ModelSetOptions["models"][string]): given is MemberOptions =>
  typeof given === "object" && given !== null && "model" in given;
