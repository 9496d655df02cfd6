/**
 * Files of a stored version as byte sources. Owns when a part is checked: whole, the first time it is read; and
 * what becomes of one that is damaged: it is fetched again, if the server still has the same file. Keeps two
 * parts in memory, whatever the number of files.
 */
import { reasonOf, throwIfAborted, WeftError } from "../errors.ts";
import type { RemoteModel } from "../model-folder/remote-model.ts";
import { sha256Hex } from "../sha256.ts";
import { type ByteSource, type Bytes, checkRange } from "../weights/byte-source.ts";
import type { FileStore } from "./file-store.ts";
import { filesFolder, type StoredFile } from "./manifest.ts";
import { partLength, partPath, readPart } from "./parts.ts";
import { remoteClient, type StoreHttp } from "./remote-files.ts";
import { readName } from "./stored-models.ts";

const NUM_CACHED = 2;

export interface StoredModelFiles {
  readonly files: FileStore;
  /** The model's folder in the store. */
  readonly model: string;
  readonly remote: RemoteModel;
  readonly http: StoreHttp;
}

/** Parts of all files of one version. */
export class StoredParts {
  readonly #where: StoredModelFiles;
  /** By path: the least recently used first. */
  readonly #cached = new Map<string, Bytes>();
  readonly #reading = new Map<string, Promise<Bytes>>();
  readonly #checked = new Set<string>();

  constructor(where: StoredModelFiles) {
    this.#where = where;
  }

  source(name: string, file: StoredFile): ByteSource {
    const { location, isFile } = this.#where.remote;
    const source: ByteSource = {
      name: isFile ? location : `${location}${name}`,
      sizeBytes: file.sizeBytes,
      read: async (offset, length, signal) => {
        checkRange(source, offset, length);
        throwIfAborted(signal);
        const { partBytes } = file;
        const bytes = new Uint8Array(length);
        for (let at = 0; at < length; ) {
          const index = Math.floor((offset + at) / partBytes);
          const from = offset + at - index * partBytes;
          const to = Math.min(partLength(file, index), from + length - at);
          bytes.set(await this.#slice(name, file, index, from, to), at);
          throwIfAborted(signal);
          at += to - from;
        }
        return bytes;
      },
    };
    return source;
  }

  async #slice(
    name: string,
    file: StoredFile,
    index: number,
    from: number,
    to: number,
  ): Promise<Bytes> {
    const { files, model } = this.#where;
    const path = partPath(filesFolder(model, file), index, file.parts[index]);
    if (this.#checked.has(path) && !this.#cached.has(path)) {
      const bytes = await files.read(path, from, to);
      if (bytes?.length === to - from) return bytes;
      this.#checked.delete(path);
    }
    return (await this.#whole(name, file, index, path)).subarray(from, to);
  }

  #whole(name: string, file: StoredFile, index: number, path: string): Promise<Bytes> {
    const cached = this.#cached.get(path);
    if (cached) {
      this.#keep(path, cached);
      return Promise.resolve(cached);
    }
    let reading = this.#reading.get(path);
    if (!reading) {
      reading = this.#check(name, file, index)
        .then((bytes) => {
          this.#checked.add(path);
          this.#keep(path, bytes);
          return bytes;
        })
        .finally(() => this.#reading.delete(path));
      this.#reading.set(path, reading);
    }
    return reading;
  }

  #keep(path: string, bytes: Bytes): void {
    this.#cached.delete(path);
    this.#cached.set(path, bytes);
    for (const oldest of this.#cached.keys()) {
      if (this.#cached.size <= NUM_CACHED) break;
      this.#cached.delete(oldest);
    }
  }

  async #check(name: string, file: StoredFile, index: number): Promise<Bytes> {
    const { files, model } = this.#where;
    const folder = filesFolder(model, file);
    const sha256 = file.parts[index];
    const stored = await readPart(files, folder, index, sha256);
    if (stored) return stored;
    const bytes = await this.#fetchAgain(name, file, index);
    // Of a model that was removed nothing is kept. Without room the part is missing next time too.
    if (await readName(files, model)) {
      await files.write(partPath(folder, index, sha256), bytes).catch(() => {});
    }
    return bytes;
  }

  async #fetchAgain(name: string, file: StoredFile, index: number): Promise<Bytes> {
    const { remote, http, files } = this.#where;
    const client = remoteClient(remote, name, http);
    const [offset, length] = [index * file.partBytes, partLength(file, index)];
    const damaged = (reason: string, cause?: unknown) =>
      new WeftError(
        "file_corrupt",
        `${client.name}: part ${index} is damaged or gone in ${files.location}, and could not be fetched ` +
          `again (${reason}); load the model again with a connection to its server: the other parts are kept`,
        { cause },
      );
    try {
      const { bytes } = await client.get({ offset, length, version: file });
      if ((await sha256Hex(bytes)) === file.parts[index]) return bytes;
    } catch (error) {
      throw damaged(reasonOf(error), error);
    }
    throw damaged("the server sends other bytes than before");
  }
}
