// Serves the built package and a model to pages, as any static server would, and counts what it sent.

import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");
const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".json": "application/json",
  ".html": "text/html; charset=utf-8",
};

export interface PageServer {
  readonly url: string;
  /** Bytes of bodies sent so far, by path. */
  readonly sent: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export interface PageServerOptions {
  /** Bodies of pages, by path. */
  readonly pages?: Readonly<Record<string, string>>;
  /** Layers of the demo model under /shallow/; the rest of its weights is never asked for. */
  readonly numLayers?: number;
}

/** `/dist/` is the build, `/models/` the models that come with it. */
export async function servePages({ pages = {}, numLayers = 2 }: PageServerOptions = {}) {
  const sent = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://page").pathname);
    const body = bodyOf(path);
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    const headers = {
      "content-type": TYPES[extname(path) || ".html"] ?? "application/octet-stream",
      "accept-ranges": "bytes",
      etag: `"${body.length}"`,
    };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const from = range ? Number(range[1]) : 0;
    const to = Math.min(body.length, range?.[2] ? Number(range[2]) + 1 : body.length);
    const piece = body.subarray(from, to);
    sent.set(path, (sent.get(path) ?? 0) + piece.length);
    const contentRange = { "content-range": `bytes ${from}-${to - 1}/${body.length}` };
    response.writeHead(range ? 206 : 200, { ...headers, ...(range && contentRange) });
    response.end(piece);
  });

  function bodyOf(path: string): Buffer | undefined {
    const page = pages[path];
    if (page !== undefined) return Buffer.from(page);
    const [, top, ...rest] = normalize(path).split("/");
    if (top === "shallow" && rest.join("/") === "config.json") {
      const config = JSON.parse(readFileSync(join(ROOT, "assets/demo/config.json"), "utf8"));
      return Buffer.from(JSON.stringify({ ...config, num_hidden_layers: numLayers }));
    }
    const folder = { dist: "dist", models: "assets", shallow: "assets/demo" }[top ?? ""];
    if (folder === undefined) return undefined;
    const file = join(ROOT, folder, ...rest);
    return existsSync(file) && statSync(file).isFile() ? readFileSync(file) : undefined;
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    sent,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  } satisfies PageServer;
}
