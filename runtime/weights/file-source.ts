/**
 * Files of Node's file system. The only file that touches `node:fs`, and only `weft-llm/node`
 * reaches it, so that no browser bundle sees it.
 */
import { reasonOf, throwIfAborted, WeftError } from "../errors.ts";
import { type ByteSource, checkRange } from "./byte-source.ts";

/** @throws {WeftError} `file_not_found`, `read_failed`. */
export async function openFile(path: string): Promise<ByteSource> {
  const fs = await import("node:fs/promises");
  // Asked before opening: to open a pipe would wait for its writer.
  const stat = await fs.stat(path).catch((error: unknown) => {
    throw openFailed(path, error);
  });
  if (!stat.isFile()) {
    throw new WeftError("read_failed", `${path} is not a regular file; check the path`);
  }
  const handle = await fs.open(path, "r").catch((error: unknown) => {
    throw openFailed(path, error);
  });
  const source: ByteSource = {
    name: path,
    sizeBytes: stat.size,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        throwIfAborted(signal);
        const { bytesRead } = await handle
          .read(bytes, done, length - done, offset + done)
          .catch((error: unknown) => {
            throw readFailed(path, error);
          });
        if (bytesRead === 0) {
          throw new WeftError(
            "file_changed",
            `${path} had ${stat.size} bytes and now ends at ${offset + done}; load it again`,
          );
        }
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
  return source;
}

function openFailed(path: string, error: unknown): WeftError {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOENT" && code !== "ENOTDIR") return readFailed(path, error);
  return new WeftError("file_not_found", `${path} does not exist; check the path`, {
    cause: error,
  });
}

function readFailed(path: string, error: unknown): WeftError {
  return new WeftError(
    "read_failed",
    `${path} cannot be read (${reasonOf(error)}); check its permissions and the disk`,
    { cause: error },
  );
}
