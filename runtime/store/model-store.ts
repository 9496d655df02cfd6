/**
 * Models that are kept: downloaded once, in several versions side by side, and loaded without a connection. Owns
 * when the server is asked, and which version is loaded then. A version is there whole or not at all.
 */
import { throwIfAborted, WeftError } from "../errors.ts";
import { ggufModel } from "../model-folder/gguf-model.ts";
import { remoteFolder } from "../model-folder/http-folder.ts";
import { checkFileName, type ModelFolder, notFound } from "../model-folder/model-folder.ts";
import {
  badLocation,
  type HubOptions,
  type RemoteModel,
  remoteModel,
} from "../model-folder/remote-model.ts";
import { isSameVersion } from "../weights/file-version.ts";
import type { OnProgress } from "../weights/progress.ts";
import { downloadModel } from "./download.ts";
import type { FileStore, StoreEstimate } from "./file-store.ts";
import { guarded } from "./guarded-files.ts";
import {
  completeVersions,
  filesFolder,
  foldersOf,
  type Manifest,
  modelKey,
  readManifests,
} from "./manifest.ts";
import { withModelLock } from "./model-lock.ts";
import { PART_BYTES } from "./parts.ts";
import { askVersions, type StoreHttp } from "./remote-files.ts";
import {
  listStored,
  type StoredModel,
  type StoredVersion,
  storedVersion,
} from "./stored-models.ts";
import { StoredParts } from "./stored-source.ts";

export interface DownloadModelOptions {
  /** For `hf:` models: another hub, or a token. */
  readonly hub?: HubOptions;
  /** By file name, SHA-256 in hex that files must have, where the server does not say it. */
  readonly sha256?: Readonly<Record<string, string>>;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

export interface OpenStoredOptions extends DownloadModelOptions {
  /** Called before anything large is downloaded, with the folder on the server: it may refuse the model. */
  readonly beforeDownload?: (folder: ModelFolder) => Promise<void>;
}

export interface ModelStoreSettings extends StoreHttp {
  readonly partBytes?: number;
}

/** Server unreachable or confused: what is stored serves. */
const REMOTE_FAULTS: ReadonlySet<string> = new Set([
  ...["read_failed", "file_not_found", "file_changed", "file_corrupt", "ranges_unsupported"],
]);
/** A stored model is there to be loaded: whether it has changed is asked once, and not for long. */
const ASKING = { attempts: 1, stallMs: 5_000 };
/** A server that starts anew takes seconds: about ten, all attempts together. */
const ATTEMPTS = 6;

export class ModelStore {
  readonly #files: FileStore;
  readonly #http: StoreHttp;
  readonly #partBytes: number;

  constructor(files: FileStore, { partBytes = PART_BYTES, ...http }: ModelStoreSettings = {}) {
    this.#files = guarded(files);
    this.#http = { attempts: ATTEMPTS, ...http };
    this.#partBytes = partBytes;
  }

  /** False where there is no place for it, e.g. in private windows of some browsers. */
  isAvailable(): Promise<boolean> {
    return this.#files.isAvailable();
  }

  /** Models by name, also those of which a download was cut. */
  list(): Promise<StoredModel[]> {
    return listStored(this.#files);
  }

  /**
   * Brings the model, if this version of it is not there yet. One that was cut goes on.
   * @param model `hf:org/name[@revision]`, or an http(s) URL of a folder or a GGUF file.
   * @throws {WeftError} `quota_exceeded`, `file_changed`, `file_corrupt`, `read_failed`, `file_not_found`, …
   */
  async download(model: string, options: DownloadModelOptions = {}): Promise<StoredVersion> {
    const remote = requiredRemote(model, options.hub);
    checkHashes(options.sha256);
    return storedVersion(await this.#bring(model, remote, options));
  }

  /**
   * Its files as they are stored, all of one version; downloads them first if they are not there or the server
   * has others. Without an answer from the server, the version that is there is taken.
   * @throws {WeftError} as `download`
   */
  async open(model: string, options: OpenStoredOptions = {}): Promise<ModelFolder> {
    const remote = requiredRemote(model, options.hub);
    checkHashes(options.sha256);
    const manifest = await this.#bring(model, remote, options);
    const [files, http] = [this.#files, this.#http];
    const parts = new StoredParts({ files, http, remote, model: await modelKey(remote.location) });
    const { location } = remote;
    if (remote.isFile) return ggufModel(location, async () => parts.source("", manifest.files[""]));
    return {
      location,
      async open(name, signal) {
        throwIfAborted(signal);
        checkFileName(name);
        if (!Object.hasOwn(manifest.files, name)) throw notFound(name, location);
        return parts.source(name, manifest.files[name]);
      },
    };
  }

  /**
   * Away with a version of a model, or with all of them and what a cut download has left. An engine that has
   * still to read from it reads from the server. Nothing happens where there is no such model.
   * @param model As it was downloaded, or the `location` that `list` gives.
   */
  async remove(model: string, version?: string, hub?: HubOptions): Promise<void> {
    const { location } = requiredRemote(model, hub);
    const key = await modelKey(location);
    const files = this.#files;
    await withModelLock(this.#lockName(key), undefined, async () => {
      const manifests = await readManifests(files, key);
      const left = manifests.filter((manifest) => version && manifest.version !== version);
      if (left.length === 0) return files.remove(key);
      if (left.length === manifests.length) return;
      await files.remove(`${key}/versions/${version}.json`);
      const kept = foldersOf(left);
      for (const folder of foldersOf(manifests.filter((each) => !left.includes(each)))) {
        if (!kept.has(folder)) await files.remove(filesFolder(key, { folder }));
      }
    });
  }

  /** Bytes used and available, of the whole origin or disk; undefined where nobody says. */
  estimate(): Promise<StoreEstimate | undefined> {
    return this.#files.estimate();
  }

  /** Asks the browser to keep the models until they are removed; false where it does not, or cannot be asked. */
  async persist(): Promise<boolean> {
    return (await this.#files.persist?.()) ?? false;
  }

  async #bring(model: string, remote: RemoteModel, options: OpenStoredOptions): Promise<Manifest> {
    const key = await modelKey(remote.location);
    const { signal } = options;
    const found = await this.#current(key, remote, options);
    if (found) return found;
    return withModelLock(this.#lockName(key), signal, async () => {
      // Another tab may have brought it while this one waited.
      const [files, http, partBytes] = [this.#files, this.#http, this.#partBytes];
      const brought = await this.#current(key, remote, options);
      if (brought) return brought;
      // A question to the user in some browsers: its answer is not waited for.
      files.persist?.().catch(() => {});
      try {
        await options.beforeDownload?.(remoteFolder(remote, http));
        const name = { model: nameOf(model, remote), location: remote.location };
        const where = { files, model: key, name, remote, http, partBytes };
        return await downloadModel({ ...options, ...where });
      } catch (error) {
        const [newest] = await this.#whole(key, options.sha256);
        const isRemote = error instanceof WeftError && REMOTE_FAULTS.has(error.code);
        if (newest && isRemote) return newest;
        throw error;
      }
    });
  }

  /** The version to load without a download; undefined where there is none, or the server has another. */
  async #current(
    key: string,
    remote: RemoteModel,
    { sha256, signal }: DownloadModelOptions,
  ): Promise<Manifest | undefined> {
    const stored = await this.#whole(key, sha256);
    if (stored.length === 0) return undefined;
    const isOffline = globalThis.navigator?.onLine === false;
    if (remote.hub?.isCommit || isOffline) return stored[0];
    const names = new Set(
      stored.flatMap(({ files, absent }) => [...Object.keys(files), ...absent]),
    );
    try {
      const now = await askVersions(remote, names, { ...this.#http, ...ASKING }, signal);
      return stored.find(
        ({ files, absent }) =>
          absent.every((name) => !now.get(name)) &&
          Object.entries(files).every(([name, file]) => {
            const version = now.get(name);
            return version && isSameVersion(file, version);
          }),
      );
    } catch {
      throwIfAborted(signal);
      return stored[0];
    }
  }

  /** Versions to choose from, the newest first. */
  async #whole(key: string, sha256: DownloadModelOptions["sha256"] = {}): Promise<Manifest[]> {
    const versions = await completeVersions(this.#files, key);
    const hashes = Object.entries(sha256);
    return versions.filter(({ files }) =>
      hashes.every(([name, hash]) => files[name]?.sha256 === hash),
    );
  }

  #lockName(key: string): string {
    return `weft-store ${this.#files.location} ${key}`;
  }
}

function requiredRemote(model: string, hub: HubOptions | undefined): RemoteModel {
  const remote = remoteModel(model, hub);
  if (remote) return remote;
  throw badLocation(model, "is nothing that is downloaded");
}

function checkHashes(sha256: DownloadModelOptions["sha256"] = {}): void {
  const odd = Object.entries(sha256).find(([, hash]) => !/^[0-9a-f]{64}$/.test(hash));
  if (!odd) return;
  throw new WeftError(
    "bad_request",
    `sha256 of ${odd[0]} is ${JSON.stringify(odd[1])}, it must be 64 hexadecimal digits in lower case; change it`,
  );
}

/** A URL's query may hold a secret. */
const nameOf = (model: string, { hub, location }: RemoteModel): string => (hub ? model : location);
