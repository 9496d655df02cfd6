/** Files that a command is told of: a text, packed with gzip or not, and where one is to be written. */
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { gunzipSync } from "node:zlib";
import { WeftError } from "../../node.ts";
import { UsageError } from "./option.ts";

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

/** Asked for before the work whose result is written. @throws {UsageError} */
export function requireFolder(path: string, option: string): void {
  if (!existsSync(dirname(path)))
    throw new UsageError(`${option}: there is no folder ${dirname(path)}; create it first`);
}
