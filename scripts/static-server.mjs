// Serves folders to a page on this machine: byte ranges, ETags, and the isolation that fine clocks
// and threads need. Only files below the folders it was given, only to 127.0.0.1.

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { pipeline } from "node:stream";

/** @type {Record<string, string>} */
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".map": "application/json",
  ".wasm": "application/wasm",
};

const HEADERS = {
  "accept-ranges": "bytes",
  "cache-control": "no-cache",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/**
 * @param {Record<string, string>} folders URL prefix, with a slash at its end -> folder; the first that fits
 * @param {number} port 0 for any
 * @returns {Promise<{ origin: string, close(): void }>}
 */
export async function serveFolders(folders, port) {
  const server = createServer((request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
      return;
    }
    const file = fileOf(request.url ?? "/", folders);
    if (file) send(file, request, response);
    else response.writeHead(404, HEADERS).end();
  });
  await /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    })
  );
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    origin: `http://127.0.0.1:${address.port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** @param {string} url @param {Record<string, string>} folders @returns {string | undefined} */
function fileOf(url, folders) {
  let path;
  try {
    path = decodeURIComponent(new URL(url, "http://page").pathname);
  } catch {
    return undefined;
  }
  const prefix = Object.keys(folders).find((start) => path.startsWith(start));
  if (prefix === undefined || path.includes("\0")) return undefined;
  const folder = folders[prefix];
  const inside = path.slice(prefix.length);
  const file = join(
    folder,
    normalize(inside === "" || inside.endsWith("/") ? `${inside}index.html` : inside),
  );
  if (!file.startsWith(folder + sep)) return undefined;
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}

/**
 * @param {string} file
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 */
function send(file, request, response) {
  const { size, mtimeMs } = statSync(file);
  const etag = `"${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}"`;
  const type = TYPES[extname(file)] ?? "application/octet-stream";
  const headers = { ...HEADERS, etag, "content-type": type };
  const { range, "if-none-match": known, "if-range": unchanged } = request.headers;
  if (known === etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const asked = unchanged === undefined || unchanged === etag ? rangeOf(range, size) : undefined;
  if (asked === "outside") {
    response.writeHead(416, { ...headers, "content-range": `bytes */${size}` }).end();
    return;
  }
  const { from, to } = asked ?? { from: 0, to: size };
  response.writeHead(asked ? 206 : 200, {
    ...headers,
    "content-length": to - from,
    ...(asked && { "content-range": `bytes ${from}-${to - 1}/${size}` }),
  });
  if (request.method === "HEAD" || from === to) response.end();
  // A reader that leaves ends the pipeline; that is no fault.
  else pipeline(createReadStream(file, { start: from, end: to - 1 }), response, () => {});
}

/**
 * One range; several, or another unit, count as none.
 * @param {string | undefined} header @param {number} size
 * @returns {{ from: number, to: number } | "outside" | undefined} `to` is not part of it
 */
function rangeOf(header, size) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || (first === "" && last === "")) return undefined;
  const from = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return from < to ? { from, to } : "outside";
}
