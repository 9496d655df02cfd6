/** Starts the constraints' worker in a browser: in a page, or inside the engine's own worker. */
import { domPort, type Port } from "../remote/port.ts";

export async function constraintPort(): Promise<Port> {
  if (typeof Worker === "undefined") {
    // Shared workers may not start others everywhere.
    return (await import("./in-thread-port.ts")).inThreadPort();
  }
  // Bundlers find the script by this very expression.
  const worker = new Worker(new URL("./constraint-worker.js", import.meta.url), {
    type: "module",
    name: "weft-constraints",
  });
  const unloaded = scriptMissing(worker);
  const port = domPort(worker);
  return { ...port, gone: Promise.race([unloaded, port.gone]) };
}

/** A script that is not there, or not allowed, has no message. */
const scriptMissing = (worker: Worker): Promise<string> =>
  new Promise((resolve) => {
    worker.addEventListener("error", ({ message }) => {
      if (message) return;
      resolve(
        "its script did not load; the server must serve constraint-worker.js of weft-llm's dist/worker/, and what " +
          "it imports, beside the page's bundle",
      );
    });
  });
