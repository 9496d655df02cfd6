/**
 * A file that a download brings: what is missing of it, and whether what came is what it should be. Owns the check
 * of parts that an earlier download has left, and of whole files whose hash somebody has said.
 */
import { reasonOf, throwIfAborted, WeftError } from "../errors.ts";
import { type OnProgress, PROGRESS_MS, ProgressMeter } from "../weights/progress.ts";
import type { FileStore, RunningHash } from "./file-store.ts";
import type { StoredFile } from "./manifest.ts";
import { numParts, type PartMap, type PartSizes, partLength, partPath, readPart } from "./parts.ts";
import type { RemoteFile } from "./remote-files.ts";

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
  /** Its bytes were found to be right. */
  isSound: boolean;
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
  const unchecked = wanted.filter((file) => !file.isSound && (file.sha256 || file.unseen.size > 0));
  const totalBytes = unchecked.reduce((sum, { sizes }) => sum + sizes.sizeBytes, 0);
  const meter = new ProgressMeter(totalBytes, onProgress, {
    phase: "verify",
    intervalMs: PROGRESS_MS,
  });
  for (const file of unchecked) {
    throwIfAborted(signal);
    file.isSound = await isSound(file, meter, options);
  }
  return unchecked.every((file) => file.isSound);
}

async function isSound(
  file: WantedFile,
  meter: ProgressMeter,
  options: CheckOptions,
): Promise<boolean> {
  const { remote, parts, path, sizes, sha256, unseen } = file;
  const { files, signal } = options;
  if (sha256 !== undefined && (await wholeHash(file, meter, options)) === sha256) return true;
  const numWhole = parts.size;
  for (const [index, hash] of [...parts]) {
    throwIfAborted(signal);
    if (sha256 === undefined) meter.add(partLength(sizes, index), remote.client.name);
    if (unseen.has(index) && !(await readPart(files, path, index, hash))) parts.delete(index);
  }
  unseen.clear();
  if (parts.size < numWhole) return false;
  if (sha256 === undefined) return true;
  // Every part is as it was written, so one came wrong, and nobody knows which.
  await files.remove(path);
  parts.clear();
  return false;
}

/** One part ahead of the hash. */
async function wholeHash(
  { remote, parts, path, sizes }: WantedFile,
  meter: ProgressMeter,
  { files, signal }: CheckOptions,
): Promise<string> {
  const hash = await runningHash(files);
  const read = (index: number) => {
    const sha256 = parts.get(index);
    const reading = sha256 === undefined ? undefined : files.read(partPath(path, index, sha256));
    // Its failure is met when it is awaited, unless something else fails before.
    reading?.catch(() => {});
    return reading;
  };
  let next = read(0);
  for (let index = 0; index < numParts(sizes); index++) {
    throwIfAborted(signal);
    const bytes = await next;
    next = read(index + 1);
    if (bytes) hash.update(bytes);
    meter.add(partLength(sizes, index), remote.client.name);
  }
  return hash.digest();
}

async function runningHash(files: FileStore): Promise<RunningHash> {
  if (files.sha256) return files.sha256();
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
