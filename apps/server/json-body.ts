/**
 * A request's body as the object that it must be. Bounded in bytes, time and depth before it is parsed; a body
 * that a form of another page could send is refused by its type.
 */
import { ApiError } from "./api-error.ts";

export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly bodyTimeoutMs: number;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Deeper than any request or schema; what walks it recursively stays far from the end of its stack. */
const MAX_DEPTH = 100;

/** @throws {ApiError} 400, 408, 413 or 415. */
export async function jsonBody(request: Request, limits: BodyLimits): Promise<JsonObject> {
  const { headers } = request;
  const type = headers.get("content-type") ?? "";
  if (!/^application\/json *(;|$)/i.test(type)) {
    throw unsupported(`content-type is ${shown(type)}, it must be application/json`);
  }
  const charset = /charset *= *"?([^";\s]+)/i.exec(type)?.[1] ?? "utf-8";
  if (!/^utf-?8$/i.test(charset))
    throw unsupported(`charset is ${shown(charset)}, it must be utf-8`);
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    throw unsupported(`content-encoding is ${shown(encoding)}, bodies must not be compressed`);
  }
  if (Number(headers.get("content-length") ?? 0) > limits.maxBodyBytes) throw tooLarge(limits);
  const text = decoded(await bytesOf(request, limits));
  checkDepth(text);
  const value = parsed(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformed(`the body is ${Array.isArray(value) ? "a list" : typeof value}`);
  }
  return value as JsonObject;
}

async function bytesOf(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow(limits)), limits.bodyTimeoutMs);
  });
  late.catch(() => {});
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      length += value.length;
      // What else comes is left unread: cancelling would end the connection before its answer.
      if (length > limits.maxBodyBytes) throw tooLarge(limits);
      chunks.push(value);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw malformed("the body was cut short");
  } finally {
    clearTimeout(timer);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw malformed("the body is not UTF-8");
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(`the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

function checkDepth(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      for (i++; i < text.length && text.charCodeAt(i) !== QUOTE; i++) {
        if (text.charCodeAt(i) === BACKSLASH) i++;
      }
    } else if (code === OPEN_LIST || code === OPEN_OBJECT) {
      depth += 1;
      if (depth > MAX_DEPTH) throw malformed(`the body is nested more than ${MAX_DEPTH} deep`);
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth -= 1;
  }
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

const malformed = (what: string): ApiError =>
  new ApiError(400, `${what}; send one JSON object in UTF-8`, { code: "invalid_body" });

const unsupported = (what: string): ApiError =>
  new ApiError(415, `${what}; change the header`, { code: "unsupported_media_type" });

const tooLarge = ({ maxBodyBytes }: BodyLimits): ApiError =>
  new ApiError(413, `the body has more than ${maxBodyBytes} bytes; send less`, {
    code: "body_too_large",
  });

const tooSlow = ({ bodyTimeoutMs }: BodyLimits): ApiError =>
  new ApiError(408, `the body did not come within ${bodyTimeoutMs} ms; send it at once`, {
    code: "body_timeout",
  });

const shown = (text: string): string => JSON.stringify(text.slice(0, 80));
