/**
 * The door `weft-llm/server`: an engine as OpenAI's HTTP API. `createHandler` runs wherever there are Request
 * and Response; `serve` needs Node. Both need the package `hono`, `serve` also `@hono/node-server`.
 */

import type { ServeOptions, Server } from "./apps/server/listen.ts";
import { type Peer, routes } from "./apps/server/routes.ts";
import type { HandlerOptions } from "./apps/server/server-options.ts";
import { Service } from "./apps/server/service.ts";
import type { EngineApi } from "./index.ts";

export type { ServeOptions, Server } from "./apps/server/listen.ts";
export type { Peer } from "./apps/server/routes.ts";
export type { HandlerOptions, ServerFault } from "./apps/server/server-options.ts";

/**
 * OpenAI's endpoints as a function: for a service worker, a framework, or tests without a socket.
 *
 * @example
 * const handle = createHandler(engine, { origins: ["https://example.org"] });
 * self.addEventListener("fetch", (event) => event.respondWith(handle(event.request)));
 *
 * @param engine May still be loading: until then callers are told 503.
 * @throws {WeftError} `bad_config`.
 */
export function createHandler(
  engine: EngineApi | Promise<EngineApi>,
  options?: HandlerOptions,
): (request: Request, peer?: Peer) => Promise<Response> {
  return routes(new Service(engine, options));
}

/**
 * Listens, by default at 127.0.0.1:8000 alone.
 *
 * @example
 * const engine = await createEngine({ model: "demo" });
 * const server = await serve(engine, { port: 8000, apiKeys: [process.env.KEY] });
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
