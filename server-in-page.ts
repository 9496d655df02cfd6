/**
 * The door `weft-llm/server` in browsers (the package's condition `browser`): nothing of Node is in it, so that
 * bundlers find all that it imports.
 */
import type { serve as serveInNode } from "./server.ts";
import { WeftError } from "./worker.ts";

export { createHandler } from "./apps/server/handler.ts";

/** What browsers have no sockets for. @throws {WeftError} `bad_config`, always. */
export const serve: typeof serveInNode = async () => {
  throw new WeftError(
    "bad_config",
    "serve listens at a port, which pages and their workers cannot; give createHandler's function to those " +
      "who ask, or run `npx weft serve` beside the browser",
  );
};
