/**
 * Whose request it is, for shares of the GPU and for the prefix cache. Where keys tell callers apart, nothing
 * that a request says of itself gives it another's place: not its share, nor its programs, nor the time that
 * another's cached prefix would save it.
 */
import { ApiError } from "./api-error.ts";
import type { JsonObject } from "./json-body.ts";

export interface Caller {
  /** Of the server's keys, from 0 on; undefined without keys. */
  readonly key: number | undefined;
  readonly numKeys: number;
  readonly address: string;
}

/** The client that a caller's answers are counted for. */
export const clientOf = ({ key, address }: Caller): string =>
  key === undefined ? address : `key-${key + 1}`;

/** The fields of a request that say who asks, as the scheduler is to see them. @throws {ApiError} 400. */
export function callerFields(body: JsonObject, caller: Caller) {
  const [client, user, program, salt, session] = [
    "client",
    "user",
    "program",
    "cache_salt",
    "session",
  ].map((field) => textOf(body, field));
  const own = clientOf(caller);
  if (caller.numKeys < 2) return { client: client ?? user ?? own };
  const within = (text: string | undefined) => (text === undefined ? {} : `${own}/${text}`);
  return {
    client: own,
    cache_salt: `${own}/${salt ?? ""}`,
    ...(program !== undefined && { program: within(program) }),
    ...(session !== undefined && { session: within(session) }),
  };
}

function textOf(body: JsonObject, field: string): string | undefined {
  const value = body[field] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw new ApiError(400, `${field} is ${typeof value}, it must be a text; change the request`, {
    code: "bad_request",
    param: field,
  });
}
