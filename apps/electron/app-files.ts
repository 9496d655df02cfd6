/**
 * The app's own files, and models that come with it, as a scheme serves them: `protocol.handle("app", appFiles(…))`.
 * Answers byte ranges, by which models are read, and nothing outside the folders that it was given.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";
import { Readable } from "node:stream";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
};

/** @param folders Path prefix, with a slash at its end -> folder; the first that fits. */
export function appFiles(folders: Readonly<Record<string, string>>) {
  return async (request: Request): Promise<Response> => {
    const path = fileOf(request.url, folders);
    if (path === undefined) return new Response(null, { status: 404 });
    const file = await stat(path).catch(() => undefined);
    if (!file?.isFile()) return new Response(null, { status: 404 });
    const headers = {
      "accept-ranges": "bytes",
      "content-type": TYPES[extname(path)] ?? "application/octet-stream",
      etag: `"${file.size.toString(36)}-${Math.floor(file.mtimeMs).toString(36)}"`,
    };
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "") ?? [];
    const start = Number(first ?? 0);
    const end = Math.min(file.size, last ? Number(last) + 1 : file.size);
    if (first !== undefined && start >= end) {
      const total = { "content-range": `bytes */${file.size}` };
      return new Response(null, { status: 416, headers: { ...headers, ...total } });
    }
    const isEmpty = request.method === "HEAD" || start === end;
    const body = isEmpty ? null : Readable.toWeb(createReadStream(path, { start, end: end - 1 }));
    return new Response(body as ReadableStream | null, {
      status: first === undefined ? 200 : 206,
      headers: {
        ...headers,
        "content-length": `${end - start}`,
        ...(first !== undefined && { "content-range": `bytes ${start}-${end - 1}/${file.size}` }),
      },
    });
  };
}

function fileOf(url: string, folders: Readonly<Record<string, string>>): string | undefined {
  const path = decoded(new URL(url).pathname);
  const prefix = Object.keys(folders).find((start) => path.startsWith(start));
  if (prefix === undefined) return undefined;
  const file = join(folders[prefix], normalize(path.slice(prefix.length)));
  return file.startsWith(folders[prefix] + sep) ? file : undefined;
}

/** Of a path that is none, nothing. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return "";
  }
}
