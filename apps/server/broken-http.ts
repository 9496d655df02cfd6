/**
 * What is told to those whose bytes are no request, or not one that a server can take: as OpenAI's error, and never
 * into another answer on the same connection. Owns what is under way on each; how requests are read is Node's.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { ApiError } from "./api-error.ts";

export const MAX_HEADER_BYTES = 16_384;
export const MAX_HEADERS = 100;

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** Requests by their connection, in the order in which they came. */
export class Exchanges {
  readonly #open = new WeakMap<Duplex, Exchange[]>();
  readonly #ending = new WeakSet<Duplex>();

  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    const open = this.#open.get(socket) ?? [];
    this.#open.set(socket, open);
    const exchange = { incoming, outgoing };
    open.push(exchange);
    outgoing.once("close", () => open.splice(open.indexOf(exchange), 1));
  }

  /** What came could not be read. @param code Of Node's error. */
  broken(socket: Duplex, code: string | undefined): void {
    const open = this.#open.get(socket) ?? [];
    const last = open.at(-1);
    if (!socket.writable || socket.readableEnded) socket.destroy();
    else if (this.#ending.has(socket)) return;
    else if (last === undefined) socket.end(rawResponse(unreadable(code)));
    else if (last.incoming.complete) {
      // Only what came behind it is broken: it has its answer, and nothing else is heard.
      this.#ending.add(socket);
      last.outgoing.shouldKeepAlive = false;
      last.outgoing.once("finish", () => socket.end());
    } else if (open.length === 1 && !last.outgoing.headersSent) {
      this.#ending.add(socket);
      socket.end(rawResponse(unreadable(code)), () => socket.destroy());
    } else socket.destroy();
  }
}

/** Why a request that could be read is none that is served here. */
export function refusalOf({ rawHeaders, headers }: IncomingMessage): ApiError | undefined {
  if (rawHeaders.length > 2 * MAX_HEADERS) {
    return new ApiError(431, `there are more than ${MAX_HEADERS} headers; send fewer`, {
      code: "too_many_headers",
    });
  }
  const coding = headers["transfer-encoding"] ?? "chunked";
  if (coding.toLowerCase() === "chunked") return undefined;
  return new ApiError(400, "transfer-encoding must be chunked alone; change the request", {
    code: "bad_request",
  });
}

export const noTunnel = new ApiError(405, "this is no proxy; ask it for what it has", {
  code: "method_not_allowed",
});

export const unmetExpectation = new ApiError(417, "expect must be 100-continue or left out", {
  code: "expectation_failed",
});

export function tell(outgoing: ServerResponse, { status, body }: ApiError): void {
  outgoing.writeHead(status, { "content-type": "application/json", connection: "close" });
  outgoing.end(JSON.stringify(body));
}

export function rawResponse({ status, body }: ApiError): string {
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} Error`,
    "content-type: application/json",
    `content-length: ${new TextEncoder().encode(text).length}`,
    "connection: close",
  ];
  return `${head.join("\r\n")}\r\n\r\n${text}`;
}

function unreadable(code: string | undefined): ApiError {
  if (code === "HPE_HEADER_OVERFLOW") {
    const what = `the headers have more than ${MAX_HEADER_BYTES} bytes; send less`;
    return new ApiError(431, what, { code: "headers_too_large" });
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return new ApiError(408, "the request came too slowly; send it at once", {
      code: "request_timeout",
    });
  }
  return new ApiError(400, "this is not HTTP/1.1 as a server can read it; change the request", {
    code: "bad_request",
  });
}
