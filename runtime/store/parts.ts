/**
 * A file of a model in parts: store files whose names say which part they are and the SHA-256 of their bytes. So
 * the listing of a folder is the map of what has been downloaded, and a part that is torn or flipped is found.
 */
import { sha256Hex } from "../sha256.ts";
import type { Bytes } from "../weights/byte-source.ts";
import type { FileStore } from "./file-store.ts";

/** What loading streams at a time (`PIECE_BYTES`), so that a piece lies in two parts at most. */
export const PART_BYTES = 8 * 1024 * 1024;

/** How a file of `sizeBytes` is cut. */
export interface PartSizes {
  readonly sizeBytes: number;
  readonly partBytes: number;
}

/** By index, the SHA-256 of the parts that are there. */
export type PartMap = Map<number, string>;

export const numParts = ({ sizeBytes, partBytes }: PartSizes): number =>
  Math.ceil(sizeBytes / partBytes);

/** Bytes of part `index`. */
export const partLength = ({ sizeBytes, partBytes }: PartSizes, index: number): number =>
  Math.min(partBytes, sizeBytes - index * partBytes);

export const partName = (index: number, sha256: string): string => `${index}-${sha256}`;

export const partPath = (folder: string, index: number, sha256: string): string =>
  `${folder}/${partName(index, sha256)}`;

/** Parts of the right size; what they hold is checked when they are read. */
export async function listParts(
  files: FileStore,
  folder: string,
  sizes: PartSizes,
): Promise<PartMap> {
  const parts: PartMap = new Map();
  for (const [name, sizeBytes] of await files.files(folder)) {
    const [, index, sha256] = /^(\d{1,9})-([0-9a-f]{64})$/.exec(name) ?? [];
    if (sha256 !== undefined && sizeBytes === partLength(sizes, Number(index))) {
      parts.set(Number(index), sha256);
    }
  }
  return parts;
}

/** @returns Its SHA-256. @throws {NoRoomError} */
export async function writePart(
  files: FileStore,
  folder: string,
  index: number,
  bytes: Bytes,
): Promise<string> {
  const sha256 = await sha256Hex(bytes);
  await files.write(partPath(folder, index, sha256), bytes);
  return sha256;
}

/** The part's bytes; undefined where it is not there or not what its name says: then it is gone. */
export async function readPart(
  files: FileStore,
  folder: string,
  index: number,
  sha256: string,
): Promise<Bytes | undefined> {
  const path = partPath(folder, index, sha256);
  const bytes = await files.read(path);
  if (bytes === undefined) return undefined;
  if ((await sha256Hex(bytes)) === sha256) return bytes;
  await files.remove(path);
  return undefined;
}
