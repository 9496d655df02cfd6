/**
 * A file that a download brings: what is missing of it, and whether what came is what it should be. Owns the check
 * of parts that an earlier download has left, and of whole files whose hash somebody has said.
 */
import { reasonOf, throwIfAborted, WeftError } from "../errors.ts";
import { type OnProgress, PROGRESS_MS, ProgressMeter } from "../weights/progress.ts";
import type { FileStore } from "./file-store.ts";
import type { StoredFile } from "./manifest.ts";
import { numParts, type PartMap, type PartSizes, partLength, readPart } from "./parts.ts";
import type { RemoteFile } from "./remote-files.ts";
import type { RunningHash } from "./whole-hash.ts";

export interface WantedFile {
  readonly remote: RemoteFile;
  readonly sizes: PartSizes;
  readonly folder: string;
  /** The folder, from the store's root. */
  readonly path: string;
  readonly parts: PartMap;
  /** Parts that an earlier download has left: what they hold was not seen by this one. */
  readonly unseen: Set<number>;
  /** Of the whole file. */
  readonly sha256: string | undefined;
  /** Of an earlier version, and whole. */
  readonly stored?: StoredFile;
}

export interface CheckOptions {
  readonly files: FileStore;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

export const missingParts = ({ sizes, parts }: WantedFile): number[] =>
  Array.from({ length: numParts(sizes) }, (_, index) => index).filter((index) => !parts.has(index));

/**
 * Reads what this download has not seen itself, and all of files whose hash is known. What is damaged is gone
 * afterwards. False where anything was.
 */
export async function areSound(
  wanted: readonly WantedFile[],
  options: CheckOptions,
): Promise<boolean> {
  const { onProgress, signal } = options;
  const unchecked = wanted.filter(
    ({ stored, sha256, unseen }) => !stored && (sha256 || unseen.size),
  );
  const totalBytes = unchecked.reduce((sum, { sizes }) => sum + sizes.sizeBytes, 0);
  const meter = new ProgressMeter(totalBytes, onProgress, {
    phase: "verify",
    intervalMs: PROGRESS_MS,
  });
  let sound = true;
  for (const file of unchecked) {
    throwIfAborted(signal);
    if (!(await isSound(file, meter, options))) sound = false;
  }
  return sound;
}

async function isSound(
  { remote, parts, path, sizes, sha256, unseen }: WantedFile,
  meter: ProgressMeter,
  { files, signal }: CheckOptions,
): Promise<boolean> {
  const hash = sha256 === undefined ? undefined : await runningHash();
  let isWhole = true;
  for (let index = 0; index < numParts(sizes); index++) {
    throwIfAborted(signal);
    if (hash || unseen.has(index)) {
      const bytes = await readPart(files, path, index, parts.get(index)!);
      if (bytes) hash?.update(bytes);
      else {
        parts.delete(index);
        isWhole = false;
      }
    }
    unseen.delete(index);
    meter.add(partLength(sizes, index), remote.client.name);
  }
  if (!isWhole || !hash || hash.digest() === sha256) return isWhole;
  // Every part is as it came, so it came wrong, and nobody knows which.
  await files.remove(path);
  parts.clear();
  return false;
}

async function runningHash(): Promise<RunningHash> {
  try {
    const { sha256Running } = await import("./whole-hash.ts");
    return await sha256Running();
  } catch (cause) {
    throw new WeftError(
      "store_failed",
      `the SHA-256 of whole files cannot be computed (${reasonOf(cause)}); bundle hash-wasm, and allow ` +
        "WebAssembly in the page's Content-Security-Policy ('wasm-unsafe-eval')",
      { cause },
    );
  }
}
