/**
 * What a server says a file is: tells one version of it from another. Owns when two answers are of the
 * same bytes, and what a server says of their hashes. Refuses nothing: what is not said is undefined.
 */

export interface FileVersion {
  readonly sizeBytes: number;
  /** As sent, with its quotes and `W/`. */
  readonly etag?: string;
  /** As sent. */
  readonly lastModified?: string;
}

export const versionOf = (headers: Headers, sizeBytes: number): FileVersion => ({
  sizeBytes,
  etag: headers.get("etag") ?? undefined,
  lastModified: headers.get("last-modified") ?? undefined,
});

/** A strong ETag says it alone; else all that was said before must be said again. */
export function isSameVersion(a: FileVersion, b: FileVersion): boolean {
  if (a.sizeBytes !== b.sizeBytes || opaque(a.etag) !== opaque(b.etag)) return false;
  return isStrong(a.etag) || isStrong(b.etag) || a.lastModified === b.lastModified;
}

/** For `If-Range`, which takes no weak ETag (RFC 9110, 13.1.5); undefined where there is nothing to ask. */
export const rangeCondition = ({ etag, lastModified }: FileVersion): string | undefined =>
  isStrong(etag) ? etag : lastModified;

/** Of a server without ETag and Last-Modified, two files of one size cannot be told apart. */
export const isTold = ({ etag, lastModified }: FileVersion): boolean =>
  etag !== undefined || lastModified !== undefined;

const isStrong = (etag: string | undefined): boolean => etag?.startsWith('"') ?? false;

/** Proxies that compress make an ETag weak on their way. */
const opaque = (etag: string | undefined): string | undefined => etag?.replace(/^W\//, "");

/**
 * SHA-256, in hex, out of a `Content-Digest` or `Repr-Digest` field.
 * @see RFC 9530: `sha-256=:BASE64:`, among other algorithms.
 */
export function digestField(field: string | null): string | undefined {
  const [, base64] = /(?:^|[\s,])sha-256=:([A-Za-z0-9+/]{43}=):/.exec(field ?? "") ?? [];
  if (base64 === undefined) return undefined;
  return [...atob(base64)].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
