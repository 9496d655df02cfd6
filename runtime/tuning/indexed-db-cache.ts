/** A tuning cache in IndexedDB, for pages and workers. Where the browser has none, nothing is kept. */
import { reasonOf } from "../errors.ts";
import type { TuningCache } from "./tuning-cache.ts";

const DATABASE = "weft-tuning";
const STORE = "records";

export interface IndexedDbTuningCacheOptions {
  /** Takes what went wrong; by default the console does. */
  readonly onWarning?: (message: string) => void;
}

/** For the option `tuning` of `createEngine` in pages: keeps what was found in IndexedDB. */
export function indexedDbTuningCache(options: IndexedDbTuningCacheOptions = {}): TuningCache {
  const { onWarning = (message) => console.warn(message) } = options;
  const guarded = async <V>(use: (database: IDBDatabase) => Promise<V>): Promise<V | undefined> => {
    try {
      const database = await open();
      try {
        return await use(database);
      } finally {
        database.close();
      }
    } catch (error) {
      onWarning(`the tuning cache in IndexedDB cannot be used: ${reasonOf(error)}`);
      return undefined;
    }
  };
  return {
    read: (key) =>
      guarded((database) => done(database.transaction(STORE).objectStore(STORE).get(key))),
    write: async (key, record) => {
      await guarded(async (database) => {
        const transaction = database.transaction(STORE, "readwrite");
        transaction.objectStore(STORE).put(record, key);
        await new Promise<void>((resolve, reject) => {
          transaction.oncomplete = () => resolve();
          transaction.onabort = () => reject(transaction.error ?? new Error("it was aborted"));
        });
      });
    },
  };
}

function open(): Promise<IDBDatabase> {
  if (typeof indexedDB === "undefined") return Promise.reject(new Error("there is no IndexedDB"));
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return done(request);
}

const done = <V>(request: IDBRequest<V>): Promise<V> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
