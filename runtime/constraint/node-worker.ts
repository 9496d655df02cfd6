/** Starts the constraints' thread in Node. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { nodePort, type Port } from "../remote/port.ts";

/** Beside the bundle or above it. A checkout that runs from its sources has none: Node 20 reads no TypeScript. */
const PLACES = ["./constraint-thread.js", "../constraint-thread.js"];

export async function constraintPort(): Promise<Port> {
  const script = PLACES.map((path) => new URL(path, import.meta.url)).find((url) =>
    existsSync(fileURLToPath(url)),
  );
  if (!script) return (await import("./in-thread-port.ts")).inThreadPort();
  const worker = new Worker(script, { name: "weft-constraints" });
  // An engine that is idle does not keep its program from ending.
  worker.unref();
  return nodePort(worker);
}
