/**
 * A file on a server, read by range requests. Owns retries and the check that the server sent what
 * was asked. Refuses servers that ignore ranges, but for files small enough to keep whole.
 */
import { reasonOf, throwIfAborted, WeftError } from "../errors.ts";
import { type ByteSource, type Bytes, checkRange } from "./byte-source.ts";

/** Comes with the opening request: enough for most headers and small JSON files. */
const PREFIX_BYTES = 64 * 1024;
/** Largest file that a server without ranges may send whole. */
const WHOLE_FILE_BYTES = 64 * 1024 * 1024;
const ATTEMPTS = 4;
const TRANSIENT_STATUS = new Set([408, 425, 429, 500, 502, 503, 504]);

export interface HttpOptions {
  readonly signal?: AbortSignal;
  readonly fetch?: typeof fetch;
  /** Before the second attempt; doubles after each. */
  readonly retryDelayMs?: number;
  /** A transfer that brings no byte for this long is tried again. */
  readonly stallMs?: number;
}

/**
 * One request: learns the size, and whether ranges work.
 * @throws {WeftError} `file_not_found`, `ranges_unsupported`, `read_failed`, `aborted`.
 */
export async function openHttp(url: string, options: HttpOptions = {}): Promise<ByteSource> {
  const client = new RangeClient(url, options);
  const { bytes: prefix, sizeBytes } = await client.get(0, PREFIX_BYTES, null, options.signal);
  const source: ByteSource = {
    name: client.name,
    sizeBytes,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      throwIfAborted(signal);
      if (length === 0) return new Uint8Array();
      if (offset + length <= prefix.length) return prefix.slice(offset, offset + length);
      return (await client.get(offset, length, sizeBytes, signal)).bytes;
    },
  };
  return source;
}

interface Answer {
  readonly bytes: Bytes;
  /** Size of the whole file. */
  readonly sizeBytes: number;
}

/** A fault worth another attempt. */
class TransientError extends Error {}

class RangeClient {
  /** The URL without its query, which may hold a secret. */
  readonly name: string;
  readonly #url: string;
  readonly #fetch: typeof fetch;
  readonly #retryDelayMs: number;
  readonly #stallMs: number;

  constructor(url: string, { fetch, retryDelayMs = 300, stallMs = 30_000 }: HttpOptions) {
    this.#url = url;
    this.name = url.replace(/[?#].*$/s, "");
    this.#fetch = fetch ?? globalThis.fetch.bind(globalThis);
    this.#retryDelayMs = retryDelayMs;
    this.#stallMs = stallMs;
  }

  /** `sizeBytes` is null on the opening request, which may bring fewer bytes than asked. */
  async get(
    offset: number,
    length: number,
    sizeBytes: number | null,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal);
      const stall = new AbortController();
      let timer = setTimeout(() => stall.abort(), this.#stallMs);
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(() => stall.abort(), this.#stallMs);
      };
      try {
        const either = signal ? AbortSignal.any([signal, stall.signal]) : stall.signal;
        return await this.#attempt(offset, length, sizeBytes, either, alive);
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof WeftError) throw error;
        if (attempt === ATTEMPTS) {
          const reason = stall.signal.aborted
            ? `no byte came for ${this.#stallMs} ms`
            : reasonOf(error);
          throw new WeftError(
            "read_failed",
            `${this.name}: ${reason} (${ATTEMPTS} attempts); check the address, the network and, ` +
              `in a browser, the server's CORS headers`,
            { cause: error },
          );
        }
      } finally {
        clearTimeout(timer);
        stall.abort();
      }
      await pause(this.#retryDelayMs * 2 ** (attempt - 1), signal);
    }
  }

  async #attempt(
    offset: number,
    length: number,
    sizeBytes: number | null,
    signal: AbortSignal,
    alive: () => void,
  ): Promise<Answer> {
    const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
    const response = await this.#fetch(this.#url, { headers, signal });
    alive();
    switch (response.status) {
      case 206: {
        const total = this.#checkContentRange(response, offset, length, sizeBytes);
        const expected = Math.min(length, total - offset);
        const bytes = await readBody(response, expected, alive);
        if (bytes.length === expected) return { bytes, sizeBytes: total };
        throw new TransientError(`${bytes.length} bytes came instead of ${expected}`);
      }
      case 200:
        return this.#wholeFile(response, sizeBytes, alive);
      case 416:
        // An empty file has no range to give.
        if (sizeBytes === null && response.headers.get("content-range") === "bytes */0") {
          return { bytes: new Uint8Array(), sizeBytes: 0 };
        }
        throw this.#changed(`the server no longer has bytes ${offset} to ${offset + length}`);
      case 404:
      case 410:
        throw new WeftError(
          "file_not_found",
          `${this.name}: the server answered ${response.status}; check the address`,
        );
      default: {
        const what = `the server answered ${response.status} ${response.statusText}`.trimEnd();
        if (TRANSIENT_STATUS.has(response.status)) throw new TransientError(what);
        const cure =
          response.status === 401 || response.status === 403
            ? "the model may need a login: download it and give its folder"
            : "check the address";
        throw new WeftError("read_failed", `${this.name}: ${what}; ${cure}`);
      }
    }
  }

  /** @returns The size of the whole file. */
  #checkContentRange(
    response: Response,
    offset: number,
    length: number,
    sizeBytes: number | null,
  ): number {
    const header = response.headers.get("content-range");
    const [, first, last, total] =
      /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header ?? "")?.map(Number) ?? [];
    if (total === undefined) {
      throw new WeftError(
        "ranges_unsupported",
        `${this.name}: the server sent a range with Content-Range "${header ?? "(none)"}" instead ` +
          `of "bytes first-last/total"; across origins it must list Content-Range in ` +
          `Access-Control-Expose-Headers`,
      );
    }
    if (sizeBytes !== null && total !== sizeBytes) {
      throw this.#changed(`it had ${sizeBytes} bytes and now has ${total}`);
    }
    if (first !== offset || last !== Math.min(offset + length, total) - 1) {
      throw new WeftError(
        "ranges_unsupported",
        `${this.name}: bytes ${offset} to ${offset + length - 1} were asked for, the server sent ` +
          `"${header}"; serve the model with a server that honours Range`,
      );
    }
    return total;
  }

  /** A server without ranges sends everything: kept whole when that is small. */
  async #wholeFile(
    response: Response,
    sizeBytes: number | null,
    alive: () => void,
  ): Promise<Answer> {
    if (sizeBytes !== null) throw this.#changed("the server stopped honouring Range");
    const declared = Number(response.headers.get("content-length") ?? Number.NaN);
    // A compressed body is longer than its Content-Length, so that length is a hint only.
    if (declared > WHOLE_FILE_BYTES) await response.body?.cancel();
    else {
      const bytes = await readBody(response, WHOLE_FILE_BYTES + 1, alive);
      const compressed = response.headers.get("content-encoding") !== null;
      if (!compressed && bytes.length < declared) {
        throw new TransientError(`${bytes.length} bytes came instead of ${declared}`);
      }
      if (bytes.length <= WHOLE_FILE_BYTES) return { bytes, sizeBytes: bytes.length };
    }
    throw new WeftError(
      "ranges_unsupported",
      `${this.name}: the server ignored Range and sends the whole file, more than ` +
        `${WHOLE_FILE_BYTES >> 20} MiB; serve the model with a server that honours Range`,
    );
  }

  #changed(what: string): WeftError {
    return new WeftError(
      "file_changed",
      `${this.name} changed while it was read: ${what}; load it again`,
    );
  }
}

/** At most `maxBytes` of the body. The pieces are joined once, so a body costs twice its size. */
async function readBody(response: Response, maxBytes: number, alive: () => void): Promise<Bytes> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  while (reader && length < maxBytes) {
    const { done, value } = await reader.read();
    if (done) break;
    alive();
    const piece = value.subarray(0, maxBytes - length);
    pieces.push(piece);
    length += piece.length;
  }
  await reader?.cancel();
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done);
  });
}
