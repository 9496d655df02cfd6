/** A file on a server as a ByteSource, read by range requests. Owns the bytes that came with the first. */
import { throwIfAborted } from "../errors.ts";
import { type ByteSource, checkRange } from "./byte-source.ts";
import { type HttpOptions, RangeClient } from "./range-client.ts";

/** Comes with the opening request: enough for most headers and small JSON files. */
export const PREFIX_BYTES = 64 * 1024;

/**
 * One request: learns the size, and whether ranges work.
 * @throws {WeftError} `file_not_found`, `ranges_unsupported`, `read_failed`, `aborted`.
 */
export async function openHttp(url: string, options: HttpOptions = {}): Promise<ByteSource> {
  const client = new RangeClient(url, options);
  const { signal } = options;
  const { bytes: prefix, version } = await client.get({ offset: 0, length: PREFIX_BYTES, signal });
  const source: ByteSource = {
    name: client.name,
    sizeBytes: version.sizeBytes,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      throwIfAborted(signal);
      if (length === 0) return new Uint8Array();
      if (offset + length <= prefix.length) return prefix.slice(offset, offset + length);
      return (await client.get({ offset, length, version, signal })).bytes;
    },
  };
  return source;
}
