/**
 * What the store writes of a model: its name, and for each version a manifest of all its files, written last of
 * all. A manifest is never trusted: one that is damaged is as none, and one whose parts are not all there is no
 * version.
 */
import { sha256Hex } from "../sha256.ts";
import { type FileVersion, isTold } from "../weights/file-version.ts";
import type { FileStore } from "./file-store.ts";
import { numParts, type PartSizes, partLength, partName } from "./parts.ts";

export interface StoredFile extends FileVersion, PartSizes {
  /** Where its parts lie, below the model's folder `files`. */
  readonly folder: string;
  /** By index. */
  readonly parts: readonly string[];
  /** Of the whole file, where the server or its hub has said it: then it was compared. */
  readonly sha256?: string;
}

export interface Manifest {
  readonly format: 1;
  /** Name of the version: of what the server said of all its files. */
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly storedAtMs: number;
  /** By name; a model that is one file has it under "". */
  readonly files: Readonly<Record<string, StoredFile>>;
  /** Names that the server has no file of. */
  readonly absent: readonly string[];
}

/** Far more than the largest model's. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Folder of a model in the store. */
export const modelKey = async (location: string): Promise<string> =>
  (await sha256Hex(location)).slice(0, 32);

export const filesFolder = (model: string, file: Pick<StoredFile, "folder">): string =>
  `${model}/files/${file.folder}`;

/**
 * Folder of a file's parts: another for each version of it, so that parts of two never mix. Where the server
 * tells no versions apart, another for each download.
 * @param wanted What else must be the same for parts to belong together.
 */
export async function fileFolder(
  name: string,
  version: FileVersion,
  wanted: readonly unknown[],
): Promise<string> {
  const { sizeBytes, etag, lastModified } = version;
  const told = isTold(version) ? [etag, lastModified] : [crypto.randomUUID()];
  return (await sha256Hex(JSON.stringify([name, sizeBytes, ...told, ...wanted]))).slice(0, 32);
}

/** The same for the same files, whenever they are downloaded. */
export async function versionName(files: Manifest["files"]): Promise<string> {
  const folders = Object.entries(files).map(([name, { folder }]) => [name, folder]);
  return (await sha256Hex(JSON.stringify(folders.sort()))).slice(0, 16);
}

export function writeManifest(files: FileStore, model: string, manifest: Manifest): Promise<void> {
  const json = new TextEncoder().encode(JSON.stringify(manifest));
  return files.write(`${model}/versions/${manifest.version}.json`, json);
}

/** Manifests that can be read, the newest first; whether their parts are there is not asked. */
export async function readManifests(files: FileStore, model: string): Promise<Manifest[]> {
  const found: Manifest[] = [];
  for (const [name, sizeBytes] of await files.files(`${model}/versions`)) {
    if (sizeBytes > MAX_BYTES) continue;
    const bytes = await files.read(`${model}/versions/${name}`);
    const manifest = bytes && parse(bytes);
    if (manifest && name === `${manifest.version}.json`) found.push(manifest);
  }
  return found.sort((a, b) => b.storedAtMs - a.storedAtMs);
}

/** Every part of every file lies there in its size. */
async function isComplete(files: FileStore, model: string, manifest: Manifest): Promise<boolean> {
  const complete = await Promise.all(
    Object.values(manifest.files).map(async (file) => {
      const sizes = await files.files(filesFolder(model, file));
      return file.parts.every(
        (sha256, index) => sizes.get(partName(index, sha256)) === partLength(file, index),
      );
    }),
  );
  return complete.every((is) => is);
}

/** Manifests of versions that are whole, the newest first. */
export async function completeVersions(files: FileStore, model: string): Promise<Manifest[]> {
  const manifests = await readManifests(files, model);
  const complete = await Promise.all(manifests.map((each) => isComplete(files, model, each)));
  return manifests.filter((_, i) => complete[i]);
}

/** What the versions share and what they do not. */
export const foldersOf = (manifests: readonly Manifest[]): ReadonlySet<string> =>
  new Set(manifests.flatMap(({ files }) => Object.values(files)).map(({ folder }) => folder));

function parse(bytes: Uint8Array): Manifest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  return isManifest(value) ? value : undefined;
}

function isManifest(value: unknown): value is Manifest {
  const { format, version, storedAtMs, files, absent } = Object(value);
  return (
    format === 1 &&
    isHex(version, 16) &&
    Number.isFinite(storedAtMs) &&
    typeof files === "object" &&
    files !== null &&
    Object.values(files).every(isStoredFile) &&
    Array.isArray(absent) &&
    absent.every((name) => typeof name === "string")
  );
}

function isStoredFile(value: unknown): value is StoredFile {
  const { folder, parts, sizeBytes, partBytes, sha256, etag, lastModified } = Object(value);
  return (
    isHex(folder, 32) &&
    Number.isSafeInteger(sizeBytes) &&
    sizeBytes >= 0 &&
    Number.isSafeInteger(partBytes) &&
    partBytes > 0 &&
    Array.isArray(parts) &&
    parts.length === numParts({ sizeBytes, partBytes }) &&
    parts.every((part) => isHex(part, 64)) &&
    (sha256 === undefined || isHex(sha256, 64)) &&
    [etag, lastModified].every((text) => text === undefined || typeof text === "string")
  );
}

const isHex = (value: unknown, length: number): boolean =>
  typeof value === "string" && value.length === length && /^[0-9a-f]+$/.test(value);
