/** Makes the worker that runs this the host of engines, for one page or for all that share it. */
import { EngineHost } from "./engine-host.ts";
import type { OpenHosted } from "./open-hosted.ts";
import { domPort } from "./port.ts";

/** Call while the script is first run: a page may be connecting already. */
export function serveWorkers(open: OpenHosted): void {
  const host = new EngineHost(open);
  // A dedicated worker gets its port in its first message, a shared one in each connection.
  const type = "onconnect" in globalThis ? "connect" : "message";
  globalThis.addEventListener(type, (event) => {
    const [port] = (event as MessageEvent).ports;
    if (port) host.serve(domPort(port));
  });
}
