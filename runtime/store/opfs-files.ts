/**
 * A store's files in the origin's private file system: in windows, dedicated and shared workers alike. Owns how
 * each of them may write. Where only a dedicated worker's handles can (Safari before 26), a crash may leave a
 * torn file, which is found when it is read.
 */
import type { Bytes } from "../weights/byte-source.ts";
import { type FileStore, NoRoomError } from "./file-store.ts";

type Directory = FileSystemDirectoryHandle;

/** @param folder Below the origin's root. */
export function opfsFiles(folder: string): FileStore {
  let opening: Promise<Directory> | undefined;
  const root = (): Promise<Directory> => {
    opening ??= navigator.storage
      .getDirectory()
      .then((origin) => origin.getDirectoryHandle(folder, { create: true }))
      .catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
    return opening;
  };
  const find = async (path: string): Promise<Directory | undefined> => {
    let directory: Directory | undefined = await root();
    for (const part of partsOf(path)) {
      directory = directory && (await ifThere(directory.getDirectoryHandle(part)));
    }
    return directory;
  };
  const entries = async (path: string): Promise<(Directory | FileSystemFileHandle)[]> => {
    const directory = await find(path);
    const found: (Directory | FileSystemFileHandle)[] = [];
    if (directory) {
      for await (const handle of directory.values()) {
        found.push(handle as Directory | FileSystemFileHandle);
      }
    }
    return found;
  };
  return {
    location: `the browser's private file system (${folder})`,
    async isAvailable() {
      if (!canWrite()) return false;
      return root().then(
        () => true,
        () => false,
      );
    },
    async folders(path) {
      return (await entries(path))
        .filter(({ kind }) => kind === "directory")
        .map(({ name }) => name);
    },
    async files(path) {
      const handles = (await entries(path)).filter((handle) => handle.kind === "file");
      const sizes = await Promise.all(
        handles.map(async (handle) => {
          const file = await ifThere(handle.getFile());
          return [handle.name, file?.size] as const;
        }),
      );
      return new Map(sizes.filter((entry): entry is [string, number] => entry[1] !== undefined));
    },
    async read(path, from = 0, to) {
      const [directory, name] = [await find(parentOf(path)), nameOf(path)];
      const handle = directory && (await ifThere(directory.getFileHandle(name)));
      const file = handle && (await ifThere(handle.getFile()));
      const bytes = file && (await ifThere(file.slice(from, to).arrayBuffer()));
      return bytes && new Uint8Array(bytes);
    },
    async write(path, bytes) {
      let directory = await root();
      for (const part of partsOf(parentOf(path))) {
        directory = await directory.getDirectoryHandle(part, { create: true });
      }
      const handle = await directory.getFileHandle(nameOf(path), { create: true });
      try {
        await ("createWritable" in handle ? writeAtOnce : writeInPlace)(handle, bytes);
      } catch (error) {
        if (!isNamed(error, "QuotaExceededError")) throw error;
        // What is left of it has no content: the room was none.
        await directory.removeEntry(handle.name).catch(() => {});
        throw new NoRoomError("the browser gives this origin no more room", { cause: error });
      }
    },
    async remove(path) {
      const directory = await find(parentOf(path));
      await ifThere(directory?.removeEntry(nameOf(path), { recursive: true }) ?? Promise.resolve());
    },
    async estimate() {
      const { usage, quota } = (await storage().estimate?.call(navigator.storage)) ?? {};
      if (usage === undefined || quota === undefined) return undefined;
      return { usedBytes: usage, availableBytes: Math.max(0, quota - usage) };
    },
    // Workers cannot ask; what a window of the origin has got holds for them.
    persist: canPersist() ? () => navigator.storage.persist() : undefined,
  };
}

/** TypeScript believes that every browser has all of it. */
const storage = (): Partial<StorageManager> => globalThis.navigator?.storage ?? {};

const canPersist = (): boolean => storage().persist !== undefined;

function canWrite(): boolean {
  if (storage().getDirectory === undefined) return false;
  const handle = globalThis.FileSystemFileHandle?.prototype;
  return handle && ("createWritable" in handle || "createSyncAccessHandle" in handle);
}

/** The file has its content when the stream is closed, and not before. */
async function writeAtOnce(handle: FileSystemFileHandle, bytes: Bytes): Promise<void> {
  const stream = await handle.createWritable();
  try {
    await stream.write(bytes);
    await stream.close();
  } catch (error) {
    await stream.abort().catch(() => {});
    throw error;
  }
}

/** Of dedicated workers; TypeScript's DOM library has no workers' types. */
interface SyncHandle {
  truncate(size: number): void;
  write(bytes: Bytes, options: { at: number }): number;
  flush(): void;
  close(): void;
}

async function writeInPlace(handle: FileSystemFileHandle, bytes: Bytes): Promise<void> {
  const worker = handle as FileSystemFileHandle & {
    createSyncAccessHandle(): Promise<SyncHandle>;
  };
  const access = await worker.createSyncAccessHandle();
  try {
    access.truncate(0);
    const written = access.write(bytes, { at: 0 });
    if (written < bytes.length) throw new NoRoomError("the browser gives this origin no more room");
    access.flush();
  } finally {
    access.close();
  }
}

const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "");
const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

const isNamed = (error: unknown, name: string): boolean =>
  error instanceof Error && error.name === name;

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isNamed(error, "NotFoundError") || isNamed(error, "TypeMismatchError")) return undefined;
    throw error;
  }
}
