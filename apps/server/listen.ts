/**
 * A handler on a socket of Node's. Owns limits on connections and headers, and the end: no new requests, then
 * what is under way for a while, then nothing.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { getRequestListener } from "@hono/node-server";
import { type EngineApi, WeftError } from "../../worker.ts";
import { ApiError } from "./api-error.ts";
import {
  Exchanges,
  MAX_HEADER_BYTES,
  MAX_HEADERS,
  noTunnel,
  rawResponse,
  refusalOf,
  tell,
  unmetExpectation,
} from "./broken-http.ts";
import { routes } from "./routes.ts";
import { type HandlerOptions, LOOPBACK_NAMES } from "./server-options.ts";
import { Service } from "./service.ts";

export interface ServeOptions extends HandlerOptions {
  /** 0 takes a free one. Default 8000. */
  readonly port?: number;
  /** The address to listen at; 0.0.0.0 or :: are all of this machine's. Default 127.0.0.1. */
  readonly host?: string;
  /** How long answers under way may go on once the server is closed. Default 30 s. */
  readonly drainMs?: number;
  /** A request's head must have come within this. Default 10 s. */
  readonly headersTimeoutMs?: number;
  /** At once; more are refused at the socket. Default 4096. */
  readonly maxConnections?: number;
}

export interface Server {
  /** Of the API, such as `http://127.0.0.1:8000/v1`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /**
   * Takes no more requests, lets those under way end within `drainMs`, ends the rest and every connection.
   * Meanwhile `/health` says 503. The engine stays. A second call ends at once what is under way.
   * @returns How many answers were cut short.
   */
  close(): Promise<number>;
}

const IDLE_TIMEOUT_MS = 5_000;
/** How long the last bytes of ended answers may take. */
const FLUSH_MS = 1_000;

/** @throws {WeftError} `bad_config`; `listen_failed`-like system errors are told as `bad_config` too. */
export async function listen(
  engine: EngineApi | Promise<EngineApi>,
  options: ServeOptions = {},
): Promise<Server> {
  const { port: asked = 8000, host = "127.0.0.1", drainMs = 30_000 } = options;
  const { headersTimeoutMs = 10_000, bodyTimeoutMs = 30_000, requestTimeoutMs = 600_000 } = options;
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    // Who sends none is told so below, in a body.
    requireHostHeader: false,
    headersTimeout: headersTimeoutMs,
    // Bodies have their own limit in json-body.ts, with an answer; this one is for what it does not read.
    requestTimeout: headersTimeoutMs + 2 * bodyTimeoutMs,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    connectionsCheckingInterval: Math.min(1000, headersTimeoutMs),
  });
  server.maxHeadersCount = MAX_HEADERS + 1;
  server.maxConnections = options.maxConnections ?? 4096;
  // Nothing is silent for so long but what hangs.
  server.timeout = requestTimeoutMs + 2 * bodyTimeoutMs;
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(cannotListen(host, asked, error)),
    );
    server.listen(asked, host, () => resolve((server.address() as AddressInfo).port));
  });
  const names = hostNames(host, port);
  let service: Service;
  try {
    service = new Service(engine, { ...options, hosts: [...names, ...(options.hosts ?? [])] });
  } catch (error) {
    server.close();
    throw error;
  }
  const handle = routes(service);
  const answer = getRequestListener(
    (request, { incoming, outgoing }) =>
      handle(request, {
        address: incoming.socket.remoteAddress,
        disconnect: () => void outgoing.destroy(),
      }),
    {
      overrideGlobalObjects: false,
      errorHandler: () =>
        new ApiError(400, "the request's address or Host header is malformed; change it", {
          code: "bad_request",
        }).response,
    },
  );
  const exchanges = new Exchanges();
  server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    exchanges.begin(incoming, outgoing);
    const refusal = refusalOf(incoming);
    if (refusal) tell(outgoing, refusal);
    else void answer(incoming, outgoing);
  });
  server.on("clientError", ({ code }: NodeJS.ErrnoException, socket) =>
    exchanges.broken(socket, code),
  );
  server.on("connect", (_, socket) => socket.end(rawResponse(noTunnel)));
  server.on("checkExpectation", (_, outgoing) => tell(outgoing, unmetExpectation));

  let closing: Promise<number> | undefined;
  let cut = 0;
  const close = async () => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
    });
    await Promise.race([service.drain(), late]);
    clearTimeout(timer);
    cut += service.abortAll();
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    const idle = setInterval(() => server.closeIdleConnections(), 20);
    const flushed = setTimeout(() => server.closeAllConnections(), FLUSH_MS);
    await ended;
    clearInterval(idle);
    clearTimeout(flushed);
    return cut;
  };
  return {
    url: `http://${reachable(host)}:${port}/v1`,
    ...{ host, port },
    close() {
      if (closing) cut += service.abortAll();
      closing ??= close();
      return closing;
    },
  };
}

/** All addresses are none that one could ask. */
const reachable = (host: string): string =>
  host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : bracketed(host);

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);

/** What Host headers may say: this machine's own names and addresses, with the port. */
function hostNames(host: string, port: number): string[] {
  const isAny = host === "0.0.0.0" || host === "::";
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const addresses = isAny ? own.map(({ address }) => bracketed(address)) : [bracketed(host)];
  const plain = addresses.filter((address) => !address.includes("%"));
  return [...LOOPBACK_NAMES, ...plain].map((name) => `${name}:${port}`);
}

function cannotListen(host: string, port: number, { code, message }: NodeJS.ErrnoException) {
  const cure =
    code === "EADDRINUSE"
      ? "something listens there already: choose another port, or 0 for a free one"
      : code === "EACCES"
        ? "this user may not listen there: choose a port from 1024 on"
        : "choose an address of this machine";
  return new WeftError("bad_config", `cannot listen at ${host}, port ${port}: ${message}; ${cure}`);
}
