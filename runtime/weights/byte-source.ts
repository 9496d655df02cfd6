/**
 * Bytes that can be read anywhere: the one thing the loader knows of files, servers and blobs.
 * Owns the bounds check. Refuses to give fewer bytes than asked.
 */
import { reasonOf, throwIfAborted, WeftError } from "../errors.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

export interface ByteSource {
  /** File name, path or URL, for messages. */
  readonly name: string;
  readonly sizeBytes: number;
  /**
   * Exactly `length` bytes from `offset`; allocates no more than that.
   * @throws {WeftError} `file_truncated`, `file_changed`, `read_failed`, `aborted`.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Bytes>;
  close?(): Promise<void>;
}

/** Every source calls this first, so that no source trusts an offset from a file. */
export function checkRange(source: ByteSource, offset: number, length: number): void {
  const inside =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= source.sizeBytes;
  if (!inside) {
    throw new WeftError(
      "file_truncated",
      `${source.name}: bytes ${offset} to ${offset + length} were asked for, ` +
        `the file has ${source.sizeBytes}; download it again`,
    );
  }
}

/** A Blob or File, as a page's file picker gives it. */
export function blobSource(blob: Blob, name: string): ByteSource {
  const source: ByteSource = {
    name,
    sizeBytes: blob.size,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      throwIfAborted(signal);
      const bytes = await blob
        .slice(offset, offset + length)
        .arrayBuffer()
        .catch((error: unknown) => {
          throw new WeftError(
            "read_failed",
            `${name} can no longer be read (${reasonOf(error)}); choose the file again`,
            { cause: error },
          );
        });
      throwIfAborted(signal);
      return new Uint8Array(bytes);
    },
  };
  return source;
}
