/**
 * A store's files in a directory. For Node; node.ts alone reaches this file. A file gets its name when it is
 * whole: others see it then, or not at all.
 */
import { createHash } from "node:crypto";
import {
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { type FileStore, NoRoomError } from "./file-store.ts";

/** Folder of files that are being written. */
const DRAFTS = ".drafts";
/** What is older was left by a process that died. */
const DRAFT_MS = 3_600_000;

/** Where the system keeps caches, e.g. `$XDG_CACHE_HOME/weft/models`. */
export function modelsDirectory(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  const base =
    XDG_CACHE_HOME ||
    (process.platform === "win32" && LOCALAPPDATA) ||
    join(homedir(), process.platform === "darwin" ? "Library/Caches" : ".cache");
  return join(base, "weft", "models");
}

export function directoryFiles(directory: string): FileStore {
  const at = (path: string) => join(directory, path);
  const entries = async (path: string) => {
    const found = await ifThere(readdir(at(path), { withFileTypes: true }));
    return (found ?? []).filter(({ name }) => name !== DRAFTS);
  };
  return {
    location: directory,
    async isAvailable() {
      try {
        await mkdir(at(DRAFTS), { recursive: true });
        for (const name of await readdir(at(DRAFTS))) {
          const draft = join(at(DRAFTS), name);
          const found = await ifThere(stat(draft));
          if (found && Date.now() - found.mtimeMs > DRAFT_MS) await rm(draft, { force: true });
        }
        return true;
      } catch {
        return false;
      }
    },
    async folders(path) {
      return (await entries(path)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
    },
    async files(path) {
      const names = (await entries(path)).filter((entry) => entry.isFile());
      const sizes = await Promise.all(
        names.map(async ({ name }) => {
          const found = await ifThere(stat(join(at(path), name)));
          return [name, found?.size] as const;
        }),
      );
      return new Map(sizes.filter((entry): entry is [string, number] => entry[1] !== undefined));
    },
    async read(path, from, to) {
      if (from === undefined || to === undefined) {
        const bytes = await ifThere(readFile(at(path)));
        return bytes && new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
      }
      const handle = await ifThere(open(at(path), "r"));
      if (!handle) return undefined;
      try {
        const bytes = new Uint8Array(to - from);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, from);
        return bytes.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    },
    async write(path, bytes) {
      // A name of its own: several processes may write at once, and each writes it whole.
      const draft = join(at(DRAFTS), crypto.randomUUID());
      try {
        await mkdir(at(DRAFTS), { recursive: true });
        await mkdir(dirname(at(path)), { recursive: true });
        await writeFile(draft, bytes);
        await rename(draft, at(path));
      } catch (error) {
        await rm(draft, { force: true }).catch(() => {});
        const { code } = error as NodeJS.ErrnoException;
        if (code === "ENOSPC" || code === "EDQUOT") {
          throw new NoRoomError(`the disk of ${directory} is full`, { cause: error });
        }
        throw error;
      }
    },
    remove: (path) => rm(at(path), { recursive: true, force: true }),
    async estimate() {
      await mkdir(directory, { recursive: true });
      const { blocks, bfree, bavail, bsize } = await statfs(directory);
      return { usedBytes: (blocks - bfree) * bsize, availableBytes: bavail * bsize };
    },
    sha256() {
      const hash = createHash("sha256");
      return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
    },
  };
}

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return undefined;
    throw error;
  }
}
