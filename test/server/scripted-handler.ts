// A server without a socket, as a service worker would use it, over a scripted engine.

import { createHandler, type HandlerOptions } from "../../server.ts";
import { ScriptedEngine } from "./scripted-engine.ts";
import { MESSAGES } from "./served.ts";

export const CHAT = "/v1/chat/completions";

/** A server without a socket, over an engine that answers one word. */
export function handler(options: HandlerOptions = {}) {
  const engine = new ScriptedEngine();
  engine.says(["Hi"]);
  const handle = createHandler(engine.door, options);
  /** @param more Headers; a body other than that of a good request. */
  const ask = async (
    more: Readonly<Record<string, string>> = {},
    body: BodyInit = JSON.stringify({ messages: MESSAGES, stream: true }),
    address?: string,
  ) => {
    const headers = { "content-type": "application/json", ...more };
    const url = `http://localhost:8000${CHAT}`;
    const request = new Request(url, { method: "POST", headers, body });
    const response = await handle(request, { address });
    const { status } = response;
    const text = await response.text();
    const code = status === 200 ? undefined : (JSON.parse(text).error.code as string);
    return { status, code, text, headers: response.headers };
  };
  const get = (path: string, headers: HeadersInit = {}, method = "GET") =>
    handle(new Request(`http://localhost:8000${path}`, { method, headers }));
  return { engine, handle, ask, get };
}
