/** The server without a socket: what answers a request, wherever it comes from. */
import type { EngineApi } from "../../worker.ts";
import { type Peer, routes } from "./routes.ts";
import type { HandlerOptions } from "./server-options.ts";
import { Service } from "./service.ts";

/**
 * OpenAI's endpoints as a function: for clients in the same program, a service worker, a framework, or tests.
 *
 * @example
 * const handle = createHandler(engine);
 * const client = new OpenAI({
 *   baseURL: "http://localhost/v1",
 *   apiKey: "none",
 *   fetch: (url, init) => handle(new Request(url, init)),
 * });
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
