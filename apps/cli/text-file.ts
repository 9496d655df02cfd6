/** A text from a file, packed with gzip or not. */
import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { WeftError } from "../../node.ts";

/** @throws {WeftError} `file_not_found`, `read_failed`. */
export function readTextFile(path: string): string {
  if (!existsSync(path))
    throw new WeftError("file_not_found", `there is no file ${path}; correct the path`);
  try {
    const bytes = readFileSync(path);
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return (isGzip ? gunzipSync(bytes) : bytes).toString("utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : `${cause}`;
    throw new WeftError("read_failed", `${path} cannot be read: ${reason}; give another file`, {
      cause,
    });
  }
}
