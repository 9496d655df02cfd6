/** An engine with a cluster beside it. The code of that is loaded for those who ask for it. */
import type { EngineApi } from "../engine-api.ts";
import { withImports } from "../service-worker.ts";
import type { OverflowOptions } from "./overflow-options.ts";

export interface WithOverflow {
  /** Where requests go that this engine has no room for. */
  readonly overflow: OverflowOptions;
}

/** @throws {WeftError} `bad_request` for a bad option, before anything is loaded; and as `create` does. */
export async function createOverflowing(
  options: OverflowOptions,
  create: () => Promise<EngineApi>,
): Promise<EngineApi> {
  const { OverflowEngine } = await withImports(import("./index.ts"));
  OverflowEngine.check(options);
  return new OverflowEngine(await create(), options);
}

/**
 * Sends what an engine has no room for to an OpenAI-compatible cluster. To close the engine, close what is
 * returned.
 * @throws {WeftError} `bad_request` for an option.
 */
export const withOverflow = (engine: EngineApi, options: OverflowOptions): Promise<EngineApi> =>
  createOverflowing(options, async () => engine);
