/**
 * The door `weft-llm/server`: an engine as OpenAI's HTTP API. `createHandler` runs wherever there are Request
 * and Response; `serve` needs Node. Both need the package `hono`, `serve` also `@hono/node-server`. Bundles for
 * browsers take server-in-page.ts instead.
 */

import type { ServeOptions, Server } from "./apps/server/listen.ts";
import type { EngineApi } from "./worker.ts";

export { createHandler } from "./apps/server/handler.ts";
export type { ServeOptions, Server } from "./apps/server/listen.ts";
export type { Peer } from "./apps/server/routes.ts";
export type { HandlerOptions, ServerFault } from "./apps/server/server-options.ts";

/**
 * Listens, by default at 127.0.0.1:8000 alone.
 *
 * @example
 * const engine = await createEngine({ model: "demo" });
 * const server = await serve(engine, { port: 8000, apiKeys: process.env.KEYS?.split(",") });
 * console.log(server.url);
 *
 * @throws {WeftError} `bad_config`: an option, or an address that cannot be listened at.
 */
export async function serve(
  engine: EngineApi | Promise<EngineApi>,
  options?: ServeOptions,
): Promise<Server> {
  const { listen } = await import("./apps/server/listen.ts");
  return listen(engine, options);
}
