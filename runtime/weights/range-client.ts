/**
 * Ranges of one file on a server. Owns retries, going on where a transfer was cut, and the check that the
 * server sent what was asked, of the version that was asked for. Refuses servers that ignore ranges, but
 * for files small enough to keep whole.
 */
import { reasonOf, throwIfAborted, WeftError } from "../errors.ts";
import { sha256Hex } from "../sha256.ts";
import type { Bytes } from "./byte-source.ts";
import {
  digestField,
  type FileVersion,
  isSameVersion,
  rangeCondition,
  versionOf,
} from "./file-version.ts";
import { joined, type RangeRequest, readBody, Transfer } from "./transfer.ts";

/** Largest file that a server without ranges may send whole. */
const WHOLE_FILE_BYTES = 64 * 1024 * 1024;
const TRANSIENT_STATUS = new Set([408, 425, 429, 500, 502, 503, 504]);

export interface HttpOptions {
  readonly signal?: AbortSignal;
  readonly fetch?: typeof fetch;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** `no-store` where the bytes are kept elsewhere: the browser then keeps no copy of its own. */
  readonly cache?: RequestCache;
  /** Default 4. */
  readonly attempts?: number;
  /** Before the second attempt; doubles after each. */
  readonly retryDelayMs?: number;
  /** A transfer that brings no byte for this long is tried again. */
  readonly stallMs?: number;
}

export interface RangeAnswer {
  /** The whole file, where a server without ranges has answered an opening request. */
  readonly bytes: Bytes;
  readonly version: FileVersion;
  readonly response: Response;
}

/** A fault worth another attempt. */
class TransientError extends Error {}

export class RangeClient {
  /** The URL without its query, which may hold a secret. */
  readonly name: string;
  readonly #url: string;
  readonly #fetch: typeof fetch;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #cache: RequestCache | undefined;
  readonly #attempts: number;
  readonly #retryDelayMs: number;
  readonly #stallMs: number;

  constructor(url: string, options: Omit<HttpOptions, "signal">) {
    this.#url = url;
    this.name = url.replace(/[?#].*$/s, "");
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#headers = options.headers ?? {};
    this.#cache = options.cache;
    this.#attempts = options.attempts ?? 4;
    this.#retryDelayMs = options.retryDelayMs ?? 300;
    this.#stallMs = options.stallMs ?? 30_000;
  }

  /** @throws {WeftError} `file_not_found`, `file_changed`, `ranges_unsupported`, `read_failed`, `aborted`. */
  async get(request: RangeRequest): Promise<RangeAnswer> {
    const { signal } = request;
    const transfer = new Transfer(request);
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
        return await this.#attempt(transfer, either, alive);
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof WeftError) throw error;
        if (attempt === this.#attempts) {
          const reason = stall.signal.aborted
            ? `no byte came for ${this.#stallMs} ms`
            : reasonOf(error);
          throw new WeftError(
            "read_failed",
            `${this.name}: ${reason} (${attempt} attempts); check the address, the network and, ` +
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

  async #attempt(transfer: Transfer, signal: AbortSignal, alive: () => void): Promise<RangeAnswer> {
    const from = transfer.offset + transfer.filled;
    const to = transfer.offset + transfer.length;
    const headers: Record<string, string> = {
      ...this.#headers,
      Range: `bytes=${from}-${to - 1}`,
    };
    const condition = transfer.version && rangeCondition(transfer.version);
    if (condition !== undefined && !isCrossOrigin(this.#url)) headers["If-Range"] = condition;
    const response = await this.#fetch(this.#url, { headers, signal, cache: this.#cache });
    alive();
    // A site of one page sends that page for whatever it lacks.
    const isPage = response.ok && response.headers.get("content-type")?.startsWith("text/html");
    switch (isPage && transfer.isOpening ? 404 : response.status) {
      case 206:
        return this.#range(response, transfer, alive);
      case 200:
        return this.#wholeFile(response, transfer, alive);
      case 416:
        // An empty file has no range to give.
        if (transfer.isOpening && response.headers.get("content-range") === "bytes */0") {
          return { bytes: new Uint8Array(), version: versionOf(response.headers, 0), response };
        }
        throw this.#changed(`the server no longer has bytes ${from} to ${to}`);
      case 404:
      case 410:
        throw new WeftError(
          "file_not_found",
          `${this.name}: the server answered ${isPage ? "with a page" : response.status}; check the address`,
        );
      default: {
        const what = `the server answered ${response.status} ${response.statusText}`.trimEnd();
        if (TRANSIENT_STATUS.has(response.status)) throw new TransientError(what);
        const cure =
          response.status === 401 || response.status === 403
            ? "the model may need a login: give the hub's token (hub: { token }), or download it and " +
              "give its folder"
            : "check the address";
        throw new WeftError("read_failed", `${this.name}: ${what}; ${cure}`);
      }
    }
  }

  /** The rest of the range, behind what has come before. */
  async #range(response: Response, transfer: Transfer, alive: () => void): Promise<RangeAnswer> {
    const { offset, filled } = transfer;
    const version = this.#checkContentRange(response, transfer);
    transfer.version = version;
    transfer.length = Math.min(transfer.length, version.sizeBytes - offset);
    const { length } = transfer;
    transfer.bytes ??= new Uint8Array(length);
    const { bytes } = transfer;
    await readBody(response, length - filled, alive, (piece) => {
      bytes.set(piece, transfer.filled);
      transfer.moveTo(transfer.filled + piece.length);
    });
    if (transfer.filled < length) {
      throw new TransientError(
        `${transfer.filled - filled} bytes came instead of ${length - filled}`,
      );
    }
    const digest = digestField(response.headers.get("content-digest"));
    if (digest !== undefined && crypto.subtle) {
      const came = filled === 0 ? bytes : bytes.slice(filled);
      if ((await sha256Hex(came)) !== digest) {
        transfer.moveTo(filled);
        throw new TransientError("the bytes that came are not those of Content-Digest");
      }
    }
    return { bytes, version, response };
  }

  /** @throws {WeftError} `ranges_unsupported`, `file_changed`. */
  #checkContentRange(response: Response, transfer: Transfer): FileVersion {
    const from = transfer.offset + transfer.filled;
    const to = transfer.offset + transfer.length;
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
    const version = versionOf(response.headers, total);
    this.#checkVersion(version, transfer);
    if (first !== from || last !== Math.min(to, total) - 1) {
      throw new WeftError(
        "ranges_unsupported",
        `${this.name}: bytes ${from} to ${to - 1} were asked for, the server sent ` +
          `"${header}"; serve the model with a server that honours Range`,
      );
    }
    return version;
  }

  #checkVersion(now: FileVersion, { version }: Transfer): void {
    if (!version || isSameVersion(version, now)) return;
    if (now.sizeBytes !== version.sizeBytes) {
      throw this.#changed(`it had ${version.sizeBytes} bytes and now has ${now.sizeBytes}`);
    }
    const { etag: was, lastModified: wasDated } = version;
    const { etag: is, lastModified: isDated } = now;
    throw this.#changed(
      was === is
        ? `it was of ${wasDated ?? "no date"} and is now of ${isDated ?? "no date"}`
        : `its ETag was ${was ?? "missing"} and now is ${is ?? "missing"}`,
    );
  }

  /** A server without ranges sends everything: kept whole when that is small. */
  async #wholeFile(
    response: Response,
    transfer: Transfer,
    alive: () => void,
  ): Promise<RangeAnswer> {
    const { headers } = response;
    const declared = Number(headers.get("content-length") ?? Number.NaN);
    if (transfer.version) {
      await response.body?.cancel();
      const { sizeBytes } = transfer.version;
      // A server whose file has changed says so, having been asked by If-Range.
      this.#checkVersion(versionOf(headers, sizeBytes), transfer);
      throw this.#changed("the server stopped honouring Range");
    }
    // A compressed body is longer than its Content-Length, so that length is a hint only.
    if (declared > WHOLE_FILE_BYTES) await response.body?.cancel();
    else {
      const pieces: Uint8Array[] = [];
      let length = 0;
      await readBody(response, WHOLE_FILE_BYTES + 1, alive, (piece) => {
        pieces.push(piece);
        length += piece.length;
      });
      const compressed = headers.get("content-encoding") !== null;
      if (!compressed && length < declared) {
        throw new TransientError(`${length} bytes came instead of ${declared}`);
      }
      if (length <= WHOLE_FILE_BYTES) {
        transfer.moveTo(length);
        return { bytes: joined(pieces), version: versionOf(headers, length), response };
      }
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

/**
 * If-Range is no header that a page may send to another origin unasked; a server that does not allow it
 * would refuse all. The ETag of every answer is compared anyway: the header only saves bytes.
 */
function isCrossOrigin(url: string): boolean {
  const { location } = globalThis;
  return location !== undefined && new URL(url).origin !== location.origin;
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
