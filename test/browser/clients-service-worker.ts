// A service worker that answers a page's requests below /v1/ with the engine of that page's worker.

import { createHandler } from "weft-llm/server";
import { connectEngine } from "weft-llm/worker";

interface Fetch extends Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
/** What is used of `ServiceWorkerGlobalScope`. */
interface Scope extends EventTarget {
  readonly clients: { claim(): void; matchAll(options: object): Promise<MessageEventSource[]> };
  skipWaiting(): void;
  addEventListener(type: "fetch", listener: (event: Fetch) => void): void;
  addEventListener(type: string, listener: () => void): void;
}
const scope = globalThis as unknown as Scope;

async function connect(): Promise<MessagePort> {
  const [page] = await scope.clients.matchAll({ includeUncontrolled: true, type: "window" });
  const { port1, port2 } = new MessageChannel();
  page.postMessage("weft", { transfer: [port2] });
  return port1;
}

let handle: ReturnType<typeof createHandler> | undefined;
scope.addEventListener("install", () => scope.skipWaiting());
scope.addEventListener("activate", () => scope.clients.claim());
scope.addEventListener("fetch", (event) => {
  if (!new URL(event.request.url).pathname.startsWith("/v1/")) return;
  const { origin, host } = location;
  // As the page's own engine was opened, so that they share one.
  const options = { model: `${origin}/models/demo`, device: "reference", store: false } as const;
  handle ??= createHandler(connectEngine({ ...options, connect }), { hosts: [host] });
  event.respondWith(handle(event.request));
});
