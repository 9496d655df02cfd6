/**
 * One download of a model into the store: what is missing is fetched, compared with what hashes there are, asked
 * for once more whether it is still the server's, and only then written down as a version. Owns the order of
 * these steps. What came stays when a step fails, and the next download goes on from there.
 */
import { throwIfAborted, WeftError } from "../errors.ts";
import type { RemoteModel } from "../model-folder/remote-model.ts";
import { type FileVersion, isSameVersion, isTold } from "../weights/file-version.ts";
import { type OnProgress, PROGRESS_MS, ProgressMeter } from "../weights/progress.ts";
import { type FileStore, NoRoomError } from "./file-store.ts";
import {
  completeVersions,
  fileFolder,
  filesFolder,
  foldersOf,
  type Manifest,
  type StoredFile,
  versionName,
  writeManifest,
} from "./manifest.ts";
import { inParallel } from "./parallel.ts";
import { listParts, numParts, partLength, writePart } from "./parts.ts";
import { askVersions, listRemoteFiles, type RemoteFile, type StoreHttp } from "./remote-files.ts";
import { type ModelName, writeName } from "./stored-models.ts";
import { areSound, missingParts, type WantedFile } from "./wanted-file.ts";

/** Parts under way at a time; each is in memory as a whole. */
const NUM_TRANSFERS = 4;
/** Of a model that changes while it is downloaded. */
const MAX_RESTARTS = 2;

export interface DownloadOptions {
  readonly files: FileStore;
  /** The model's folder in the store. */
  readonly model: string;
  /** Written down with the first part. */
  readonly name: ModelName;
  readonly remote: RemoteModel;
  readonly http: StoreHttp;
  readonly partBytes: number;
  /** By name, what whole files must hash to; what is given here counts more than what the server says. */
  readonly sha256?: Readonly<Record<string, string>>;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/** Alone on this model. @throws {WeftError} */
export async function downloadModel(options: DownloadOptions): Promise<Manifest> {
  for (let restarts = 0; ; restarts++) {
    try {
      return await new Download(options).run();
    } catch (error) {
      const hasChanged = error instanceof WeftError && error.code === "file_changed";
      if (!hasChanged || restarts === MAX_RESTARTS) throw error;
    }
  }
}

class Download {
  readonly #options: DownloadOptions;
  #wanted: readonly WantedFile[] = [];

  constructor(options: DownloadOptions) {
    this.#options = options;
  }

  async run(): Promise<Manifest> {
    const { files, model, remote, http, signal } = this.#options;
    const listing = await listRemoteFiles(remote, http, signal);
    const stored = await completeVersions(files, model);
    this.#wanted = await Promise.all(listing.files.map((file) => this.#want(file, stored)));
    await this.#sweep(stored);
    await this.#fetchMissing();
    if (!(await areSound(this.#wanted, this.#options))) {
      await this.#fetchMissing();
      if (!(await areSound(this.#wanted, this.#options))) {
        await this.#requireUnchanged(listing.absent);
        throw this.#corrupt();
      }
    }
    await this.#requireUnchanged(listing.absent);
    throwIfAborted(signal);
    const entries = this.#wanted.map((file) => [file.remote.name, storedFile(file)] as const);
    const stands = Object.fromEntries(entries);
    const manifest: Manifest = {
      format: 1,
      version: await versionName(stands),
      storedAtMs: Date.now(),
      files: stands,
      absent: listing.absent,
    };
    await writeManifest(files, model, manifest);
    return manifest;
  }

  async #want(remote: RemoteFile, versions: readonly Manifest[]): Promise<WantedFile> {
    const { files, model, partBytes } = this.#options;
    const { name, version } = remote;
    const given = this.#options.sha256?.[name];
    const sha256 = given ?? remote.sha256;
    const stored = versions
      .map((manifest) => manifest.files[name])
      .find((file) => file && isTold(version) && isSameVersion(file, version));
    const wasCompared = stored?.sha256 !== undefined;
    if (stored && (given ? given === stored.sha256 : wasCompared || sha256 === undefined)) {
      const { folder } = stored;
      const path = filesFolder(model, stored);
      const parts = new Map(stored.parts.entries());
      return {
        remote,
        sizes: stored,
        folder,
        path,
        parts,
        unseen: new Set(),
        sha256,
        stored,
        isSound: true,
      };
    }
    const folder = await fileFolder(name, version, [partBytes, given]);
    const path = filesFolder(model, { folder });
    const sizes = { sizeBytes: version.sizeBytes, partBytes };
    const parts = await listParts(files, path, sizes);
    return {
      remote,
      sizes,
      folder,
      path,
      parts,
      unseen: new Set(parts.keys()),
      sha256,
      isSound: false,
    };
  }

  /** Away with versions that are not whole and with files that belong to none, this one's apart. */
  async #sweep(stored: readonly Manifest[]): Promise<void> {
    const { files, model } = this.#options;
    const whole = new Set(stored.map(({ version }) => `${version}.json`));
    for (const name of (await files.files(`${model}/versions`)).keys()) {
      if (!whole.has(name)) await files.remove(`${model}/versions/${name}`);
    }
    const kept = new Set([...foldersOf(stored), ...this.#wanted.map(({ folder }) => folder)]);
    for (const folder of await files.folders(`${model}/files`)) {
      if (!kept.has(folder)) await files.remove(filesFolder(model, { folder }));
    }
  }

  async #fetchMissing(): Promise<void> {
    const { files, model, name, onProgress, signal } = this.#options;
    const missing = this.#wanted.flatMap((file) =>
      missingParts(file).map((index) => ({ file, index })),
    );
    const missingBytes = missing.reduce(
      (sum, { file, index }) => sum + partLength(file.sizes, index),
      0,
    );
    await this.#requireRoom(missingBytes);
    await writeName(files, model, name);
    const totalBytes = this.#wanted.reduce((sum, { sizes }) => sum + sizes.sizeBytes, 0);
    const meter = new ProgressMeter(totalBytes, onProgress, {
      phase: "download",
      loadedBytes: totalBytes - missingBytes,
      intervalMs: PROGRESS_MS,
    });
    await inParallel(missing, NUM_TRANSFERS, signal, ({ file, index }, either) =>
      this.#fetchPart(file, index, meter, either),
    );
  }

  async #fetchPart(
    { remote, sizes, path, parts }: WantedFile,
    index: number,
    meter: ProgressMeter,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, version } = remote;
    const [offset, length] = [index * sizes.partBytes, partLength(sizes, index)];
    const onBytes = (count: number) => meter.add(count, client.name);
    let bytes = remote.bytes?.slice(offset, offset + length);
    if (bytes) onBytes(length);
    else bytes = (await client.get({ offset, length, version, signal, onBytes })).bytes;
    throwIfAborted(signal);
    try {
      parts.set(index, await writePart(this.#options.files, path, index, bytes));
    } catch (error) {
      if (error instanceof NoRoomError) throw await this.#noRoom(this.#missingBytes(), error);
      throw error;
    }
  }

  #missingBytes(): number {
    return this.#wanted
      .flatMap((file) => missingParts(file).map((index) => partLength(file.sizes, index)))
      .reduce((sum, bytes) => sum + bytes, 0);
  }

  async #requireRoom(neededBytes: number): Promise<void> {
    const estimate = await this.#options.files.estimate();
    if (estimate && estimate.availableBytes < neededBytes) throw await this.#noRoom(neededBytes);
  }

  async #noRoom(neededBytes: number, cause?: unknown): Promise<WeftError> {
    const { files, remote } = this.#options;
    const estimate = await files.estimate();
    return new WeftError(
      "quota_exceeded",
      `${remote.location} needs ${neededBytes} bytes more in ${files.location}, which has ` +
        `${estimate?.availableBytes ?? "too few"}; remove models (modelStore().remove), free disk ` +
        "space, or create the engine with store: false. What has come stays, and the next load goes on",
      { cause },
    );
  }

  #corrupt(): WeftError {
    const bad = this.#wanted.filter((file) => missingParts(file).length > 0);
    const names = bad.map(({ remote }) => remote.client.name).join(", ");
    const said = bad.map(({ sha256 }) => sha256 ?? "none").join(", ");
    return new WeftError(
      "file_corrupt",
      `${names}: downloaded twice, and the bytes are not those of the SHA-256 that was said (${said}); ` +
        "something on the way changes them, or the hash is of another file: check the server",
    );
  }

  /** @throws {WeftError} `file_changed` */
  async #requireUnchanged(absent: readonly string[]): Promise<void> {
    const { remote, http, signal } = this.#options;
    const names = [...this.#wanted.map((file) => file.remote.name), ...absent];
    const now = await askVersions(remote, names, http, signal);
    const changed = this.#wanted.find(
      (file) => !isStill(file.remote.version, now.get(file.remote.name)),
    );
    const appeared = absent.find((name) => now.get(name));
    if (!changed && appeared === undefined) return;
    throw new WeftError(
      "file_changed",
      `${changed?.remote.client.name ?? `${remote.location}${appeared}`} changed while the model was ` +
        "downloaded; load it again",
    );
  }
}

const isStill = (version: FileVersion, now: FileVersion | null | undefined): boolean =>
  now ? isSameVersion(version, now) : false;

function storedFile({ remote, sizes, folder, parts, sha256, stored }: WantedFile): StoredFile {
  if (stored) return stored;
  const { version } = remote;
  const hashes = Array.from({ length: numParts(sizes) }, (_, index) => parts.get(index)!);
  return { ...version, ...sizes, folder, parts: hashes, sha256 };
}
