/** Starts the constraints' worker in a browser: in a page, or inside the engine's own worker. */
import { domPort, type Port } from "../remote/port.ts";

export async function constraintPort(): Promise<Port> {
  if (typeof Worker === "undefined") {
    // Shared workers may not start others everywhere.
    return (await import("./in-thread-port.ts")).inThreadPort();
  }
  // Bundlers find the script by this very expression.
  return domPort(
    new Worker(new URL("./constraint-worker.js", import.meta.url), {
      type: "module",
      name: "weft-constraints",
    }),
  );
}
