// Serves folders to one page on this machine: byte ranges, and the isolation that threads in
// WebAssembly need. Nothing is cached.

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
  "Accept-Ranges": "bytes",
};
const TYPES = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
const PAGE =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>compare</title>';

/**
 * @param {Record<string, string>} mounts URL prefix -> folder
 * @param {Record<string, string>} scripts URL -> JavaScript
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export async function serveFiles(mounts, scripts) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const text = path === "/" ? PAGE : scripts[path];
    if (text !== undefined) {
      const type = path === "/" ? "text/html" : "text/javascript";
      response.writeHead(200, { ...HEADERS, "Content-Type": type }).end(text);
      return;
    }
    const file = fileOf(path, mounts);
    if (file === null) response.writeHead(404, HEADERS).end();
    else sendFile(file, request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

/** @param {string} path @param {Record<string, string>} mounts @returns {string | null} */
function fileOf(path, mounts) {
  const prefix = Object.keys(mounts).find((start) => path.startsWith(start));
  if (prefix === undefined) return null;
  const file = join(mounts[prefix], normalize(path.slice(prefix.length)));
  if (!file.startsWith(mounts[prefix] + sep)) return null;
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : null;
}

/**
 * @param {string} file
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 */
function sendFile(file, request, response) {
  const { size } = statSync(file);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  const type = TYPES[/** @type {keyof typeof TYPES} */ (extname(file))];
  response.writeHead(range ? 206 : 200, {
    ...HEADERS,
    "Content-Type": type ?? "application/octet-stream",
    "Content-Length": end - start + 1,
    ...(range ? { "Content-Range": `bytes ${start}-${end}/${size}` } : {}),
  });
  if (request.method === "HEAD") response.end();
  else createReadStream(file, { start, end }).pipe(response);
}
