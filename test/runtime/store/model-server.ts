// A server of models on 127.0.0.1 with ETags and If-Range, which misbehaves as a test tells it to, and can be
// stopped and started again on its port.

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ServedFile {
  readonly bytes: Uint8Array;
  /** Default: of the content. null: none is sent. */
  readonly etag?: string | null;
  readonly lastModified?: string;
}

export type Fault =
  | { readonly status: number }
  /** Ends the connection after so many bytes of the body. */
  | { readonly cutAfter: number }
  /** Sends fewer bytes, and says so, in an answer that looks whole. */
  | { readonly truncateTo: number }
  /** One bit of the body, by its place as a share of the body. */
  | { readonly flipAt: number }
  | "stall"
  /** As a server does that knows no ranges. */
  | "whole";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly headers: IncomingMessage["headers"];
}

export class ModelServer {
  readonly files = new Map<string, ServedFile>();
  readonly asked: Asked[] = [];
  /** Bytes of bodies sent so far. */
  sentBytes = 0;
  /** What goes wrong with a request. */
  fault: (asked: Asked, body: Uint8Array) => Fault | undefined = () => undefined;
  /** Called before a request is answered. */
  onRequest: (asked: Asked) => void = () => {};
  /** RFC 9530: hashes of the whole file, and of what is sent. */
  sendsReprDigest = false;
  sendsContentDigest = false;
  /** If-Range is not looked at, as where a page asks another origin. */
  ignoresConditions = false;
  /** Where requests below a path are sent on to. */
  readonly redirects = new Map<string, string>();
  #server: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  serve(folder: string, files: Readonly<Record<string, Uint8Array | string>>): void {
    for (const [name, content] of Object.entries(files)) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      this.files.set(`${folder}/${name}`, { bytes });
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(new URL(request.url!, "http://localhost").pathname);
    const { method = "", headers } = request;
    const asked: Asked = { method, path, range: headers.range, headers };
    this.asked.push(asked);
    this.onRequest(asked);
    const redirect = [...this.redirects].find(([from]) => path.startsWith(from));
    if (redirect) {
      const [from, to] = redirect;
      response.writeHead(302, { Location: to + path.slice(from.length) }).end();
      return;
    }
    const file = this.files.get(path);
    const { bytes = new Uint8Array() } = file ?? {};
    const etag = file?.etag === undefined ? `"${shortHash(bytes)}"` : file.etag;
    if (etag !== null) response.setHeader("ETag", etag);
    if (file?.lastModified) response.setHeader("Last-Modified", file.lastModified);
    if (this.sendsReprDigest) response.setHeader("Repr-Digest", digestField(bytes));
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "")?.map(Number) ?? [];
    const condition = this.ignoresConditions ? undefined : headers["if-range"];
    const holds = condition === undefined || condition === etag || condition === file?.lastModified;
    const isRange = first !== undefined && holds;
    const body = isRange ? bytes.subarray(first, last + 1) : bytes;
    const fault = this.fault(asked, body);
    if (typeof fault === "object" && "status" in fault) {
      response.writeHead(fault.status).end("a fault");
    } else if (!file) {
      response.writeHead(404).end("not here");
    } else if (fault === "whole" || !isRange) {
      this.#send(request, response, 200, bytes, undefined);
    } else if (first >= bytes.length) {
      response.writeHead(416, { "Content-Range": `bytes */${bytes.length}` }).end();
    } else {
      const range = `bytes ${first}-${first + body.length - 1}/${bytes.length}`;
      response.setHeader("Content-Range", range);
      this.#send(request, response, 206, body, fault);
    }
  }

  #send(
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    body: Uint8Array,
    fault: Fault | undefined,
  ): void {
    if (this.sendsContentDigest) response.setHeader("Content-Digest", digestField(body));
    let sent = body;
    if (typeof fault === "object" && "flipAt" in fault && body.length > 0) {
      sent = body.slice();
      sent[Math.floor(fault.flipAt * body.length)] ^= 1 << (body.length % 8);
    }
    if (typeof fault === "object" && "truncateTo" in fault)
      sent = body.subarray(0, fault.truncateTo);
    response.writeHead(status, { "Content-Length": sent.length });
    this.sentBytes += sent.length;
    if (fault === "stall") response.write(sent.subarray(0, 1));
    else if (typeof fault === "object" && "cutAfter" in fault) {
      const cut = () => request.socket.destroy();
      response.write(sent.subarray(0, Math.min(fault.cutAfter, sent.length)), cut);
    } else response.end(sent);
  }
}

const hashes = new WeakMap<Uint8Array, string>();

function shortHash(bytes: Uint8Array): string {
  const known = hashes.get(bytes);
  if (known) return known;
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 20);
  hashes.set(bytes, hash);
  return hash;
}

const digestField = (bytes: Uint8Array): string =>
  `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;
