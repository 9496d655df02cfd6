// A file server on 127.0.0.1 that honours ranges, and misbehaves as a test tells it to.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface RangeServer {
  readonly url: string;
  /** `METHOD path range` of every request so far. */
  readonly requests: string[];
  /** Takes the next requests, one fault each, before the server behaves again. */
  faults: Fault[];
  readonly files: Map<string, Uint8Array>;
  close(): Promise<void>;
}

export type Fault =
  | { status: number }
  /** Ends the connection after so many bytes of the body. */
  | { cutAfter: number }
  /** Sends the headers, then nothing more. */
  | "stall"
  /** As servers without ranges do: 200 and everything; `chunked` leaves Content-Length out. */
  | "whole"
  | "chunked"
  /** As a site of one page answers what it lacks. */
  | "page"
  | { contentRange: string | null };

const PAGE = "<!doctype html><div id=app></div>\n";

export async function rangeServer(): Promise<RangeServer> {
  const files = new Map<string, Uint8Array>();
  const server = createServer((request, response) => answer(request, response));
  const state: RangeServer = {
    url: "",
    requests: [],
    faults: [],
    files,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url!, "http://localhost");
    state.requests.push(`${request.method} ${request.url} ${request.headers.range}`);
    const fault = state.faults.shift();
    const file = files.get(decodeURIComponent(pathname));
    if (fault === "page") {
      response.writeHead(200, { "Content-Type": "text/html;charset=utf-8" }).end(PAGE);
      return;
    }
    if (typeof fault === "object" && "status" in fault) {
      response.writeHead(fault.status).end("a fault");
      return;
    }
    if (!file) {
      response.writeHead(404).end("not here");
      return;
    }
    if (fault === "whole" || fault === "chunked") {
      if (fault === "whole") response.setHeader("Content-Length", file.length);
      response.writeHead(200);
      response.end(file);
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!.map(Number);
    if (first >= file.length) {
      response.writeHead(416, { "Content-Range": `bytes */${file.length}` }).end();
      return;
    }
    const body = file.subarray(first, last + 1);
    const contentRange =
      typeof fault === "object" && "contentRange" in fault
        ? fault.contentRange
        : `bytes ${first}-${first + body.length - 1}/${file.length}`;
    if (contentRange !== null) response.setHeader("Content-Range", contentRange);
    response.writeHead(206, { "Content-Length": body.length });
    if (fault === "stall") response.write(body.subarray(0, 1));
    else if (typeof fault === "object" && "cutAfter" in fault) {
      response.write(body.subarray(0, fault.cutAfter), () => request.socket.destroy());
    } else response.end(body);
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, { url: `http://127.0.0.1:${port}` });
}
