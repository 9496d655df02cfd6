/**
 * A tuning cache in files: one per device, JSON, replaced as a whole. For Node; it is reached by
 * node.ts alone. A file that cannot be used is reported and written anew, never an error.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { reasonOf } from "../errors.ts";
import type { TuningCache, TuningRecord } from "./tuning-cache.ts";

/** Far more than a device has entries. */
const MAX_BYTES = 4 << 20;

export interface FileTuningCacheOptions {
  /** Default: where the system keeps caches, e.g. `$XDG_CACHE_HOME/weft/tuning`. */
  readonly folder?: string;
  /** Takes what was wrong with a file; by default Node's warnings do. */
  readonly onWarning?: (message: string) => void;
}

/** For the option `tuning` of `createEngine` in Node: keeps what was found in files, one per device. */
export function fileTuningCache(options: FileTuningCacheOptions = {}): TuningCache {
  const { folder = cacheFolder(), onWarning = warn } = options;
  const pathOf = (key: string) =>
    join(folder, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
  return {
    async read(key) {
      const path = pathOf(key);
      try {
        const { size } = await stat(path);
        if (size > MAX_BYTES) throw new Error(`it has ${size} bytes`);
        const stored = Object(JSON.parse(await readFile(path, "utf8"))) as {
          key?: unknown;
          record?: unknown;
        };
        if (stored.key !== key) throw new Error("it is not of this device");
        return stored.record;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        onWarning(`the tuning cache ${path} is ignored and will be rewritten: ${reasonOf(error)}`);
        return undefined;
      }
    },
    async write(key, record: TuningRecord) {
      const path = pathOf(key);
      // A name of its own: several processes may write at once, and the last one wins whole.
      const draft = `${path}.${process.pid}.${performance.now()}`;
      try {
        await mkdir(folder, { recursive: true });
        await writeFile(draft, `${JSON.stringify({ key, record })}\n`);
        await rename(draft, path);
      } catch (error) {
        await rm(draft, { force: true }).catch(() => {});
        onWarning(`the tuning cache ${path} cannot be written: ${reasonOf(error)}`);
      }
    },
  };
}

function cacheFolder(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  const base =
    XDG_CACHE_HOME ||
    (process.platform === "win32" && LOCALAPPDATA) ||
    join(homedir(), process.platform === "darwin" ? "Library/Caches" : ".cache");
  return join(base, "weft", "tuning");
}

const warn = (message: string): void => process.emitWarning(message, "WeftWarning");
