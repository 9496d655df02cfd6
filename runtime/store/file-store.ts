/**
 * Where a store keeps its files: folders of small files that are written once, whole, and never changed. The
 * little that the browser's private file system, a directory of Node and memory have in common.
 */
import type { Bytes } from "../weights/byte-source.ts";

/** Paths have `/` between their parts. What is not there is empty or undefined, never an error. */
export interface FileStore {
  /** For messages. */
  readonly location: string;
  /** False where the platform has none, or lets nobody write to it. */
  isAvailable(): Promise<boolean>;
  /** Names of the folders in a folder; "" is the root. */
  folders(path: string): Promise<string[]>;
  /** Names of the files in a folder, with their sizes in bytes. */
  files(path: string): Promise<ReadonlyMap<string, number>>;
  /** From byte `from` to before `to`; the whole file when left out, less where it ends before. */
  read(path: string, from?: number, to?: number): Promise<Bytes | undefined>;
  /**
   * Who reads, sees the whole file or the one before; at worst, after a crash, a torn one. Makes the folders.
   * @throws {NoRoomError}
   */
  write(path: string, bytes: Bytes): Promise<void>;
  /** A file, or a folder with all in it. */
  remove(path: string): Promise<void>;
  /** Undefined where nobody says. */
  estimate(): Promise<StoreEstimate | undefined>;
  /** Asks that the browser never clears the files by itself; undefined where nobody can be asked. */
  readonly persist?: () => Promise<boolean>;
  /** SHA-256 of more than memory holds, where the platform has it. */
  readonly sha256?: () => RunningHash;
}

export interface RunningHash {
  update(bytes: Uint8Array): void;
  /** In hex; once, at the end. */
  digest(): string;
}

export interface StoreEstimate {
  /** Of all the origin or the disk keeps, not of the store alone. */
  readonly usedBytes: number;
  readonly availableBytes: number;
}

/** The disk is full, or the origin's quota. */
export class NoRoomError extends Error {}
