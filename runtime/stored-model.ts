/** Whether a model is read from its server or from the store. Owns what becomes of a model that cannot be kept. */
import { WeftError } from "./errors.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import { type HubOptions, remoteModel } from "./model-folder/remote-model.ts";
import type { ModelStore } from "./store/model-store.ts";
import type { OnProgress } from "./weights/progress.ts";

export interface ModelSourceOptions {
  /**
   * Downloads models of servers into the model store first, and loads them from there, also without a connection
   * (docs/store.md). False reads them from their server each time, as far as they are needed. Default true where
   * there is a store: pages with a private file system, and Node.
   */
  readonly store?: boolean;
  /** Where `hf:` models come from, and the token for those that need a login. */
  readonly hub?: HubOptions;
}

/** Imports the store: models that are read from their server do without it. */
export type OpenStore = () => Promise<ModelStore>;

export interface KeepOptions extends ModelSourceOptions {
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/**
 * The folder in the store, where there is one and the model is a server's; else the folder that was named.
 * @param check Of the named folder, before anything large is downloaded.
 * @throws {WeftError} what downloading throws; `bad_request` for a store that was asked for and is not there.
 */
export async function keptFolder(
  openStore: OpenStore | undefined,
  model: unknown,
  named: ModelFolder,
  options: KeepOptions,
  check?: (folder: ModelFolder) => Promise<void>,
): Promise<ModelFolder> {
  if (options.store === false || typeof model !== "string") return named;
  if (!remoteModel(model, options.hub)) return named;
  const store = await openStore?.();
  if (store && (await store.isAvailable())) {
    return store.open(model, { ...options, beforeDownload: check });
  }
  if (options.store !== true) return named;
  throw new WeftError(
    "bad_request",
    "store is true, and there is no model store here: no private file system, no right to use it, or an " +
      "insecure origin; leave the option out, then the model is read from its server each time",
  );
}
