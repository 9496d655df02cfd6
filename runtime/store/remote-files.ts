/**
 * Which files a model on a server has, and of which version. Owns the list of names that a model may have: all
 * that loading opens. Asks for all at once; a name that the server has no file of is told, not refused.
 */
import { ADAPTER_CONFIG } from "../adapters/adapter.ts";
import { WeftError } from "../errors.ts";
import { CONFIG_FILES, LAYER_PLAN_FILE } from "../model-folder/config-files.ts";
import { notFound } from "../model-folder/model-folder.ts";
import type { RemoteModel } from "../model-folder/remote-model.ts";
import type { Bytes } from "../weights/byte-source.ts";
import { digestField, type FileVersion } from "../weights/file-version.ts";
import { PREFIX_BYTES } from "../weights/http-source.ts";
import { type HttpOptions, type RangeAnswer, RangeClient } from "../weights/range-client.ts";
import { INDEX, noWeights, parseIndex, SINGLE } from "../weights/safetensors-checkpoint.ts";
import { inParallel } from "./parallel.ts";

/** Of a folder; shards come from the index. */
export const MODEL_FILES: readonly string[] = [
  ...CONFIG_FILES,
  LAYER_PLAN_FILE,
  ADAPTER_CONFIG,
  SINGLE,
  INDEX,
];

/** Requests at a time that bring hardly more than headers. */
const NUM_PROBES = 8;
/** A hub that has not sent its list by then is not waited for. */
const HUB_LIST_MS = 20_000;
/** Of an index; it is text, and read at once. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
const SHA256 = /^"?([0-9a-f]{64})"?$/;

export type StoreHttp = Omit<HttpOptions, "signal" | "headers" | "cache">;

export interface RemoteFile {
  readonly name: string;
  readonly client: RangeClient;
  readonly version: FileVersion;
  /** All of it, where the first request has brought that. */
  readonly bytes?: Bytes;
  /** Of the whole file, where the server says it. */
  readonly sha256?: string;
}

export interface RemoteFiles {
  readonly files: readonly RemoteFile[];
  readonly absent: readonly string[];
}

/** @throws {WeftError} `file_not_found` where there are no weights, and what requests throw. */
export async function listRemoteFiles(
  remote: RemoteModel,
  http: StoreHttp,
  signal?: AbortSignal,
): Promise<RemoteFiles> {
  const found = new Map<string, RemoteFile>();
  const absent: string[] = [];
  const open = (names: Iterable<string>) =>
    inParallel(names, NUM_PROBES, signal, async (name, either) => {
      const file = await openRemote(remote, name, http, either);
      if (file) found.set(name, file);
      else absent.push(name);
    });
  if (remote.isFile) {
    await open([""]);
    const [file] = found.values();
    if (file) return { files: [file], absent: [] };
    throw new WeftError(
      "file_not_found",
      `${remote.location}: the server has no such file; check the address`,
    );
  }
  await open(MODEL_FILES);
  const index = found.get(INDEX);
  if (!found.has(SINGLE)) {
    if (!index)
      throw absent.includes("config.json") ? noConfig(remote) : noWeights(remote.location);
    const text = new TextDecoder().decode(await wholeOf(index, signal));
    const shards = new Set(parseIndex(text, remote.location).values());
    await open(shards);
    const missing = [...shards].find((name) => !found.has(name));
    if (missing !== undefined) throw notFound(missing, remote.location);
  }
  const hashes = remote.hub && (await hubHashes(remote, http, signal));
  const files = [...found.values()].map((file) => ({
    ...file,
    sha256: file.sha256 ?? hashes?.get(file.name),
  }));
  return { files, absent: absent.sort() };
}

/** Versions of named files as they are now; null where there is none. @throws {WeftError} */
export async function askVersions(
  remote: RemoteModel,
  names: Iterable<string>,
  http: StoreHttp,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, FileVersion | null>> {
  const versions = new Map<string, FileVersion | null>();
  await inParallel(names, NUM_PROBES, signal, async (name, either) => {
    const client = remoteClient(remote, name, http);
    // Headers, in short: If-None-Match would need the leave of servers of another origin. Two bytes, since
    // sirv, which Vite serves with, sends the whole file where the last byte asked for is 0.
    const answer = await orAbsent(client.get({ offset: 0, length: 2, signal: either }));
    versions.set(name, answer?.version ?? null);
  });
  return versions;
}

/** The browser need not keep what the store does, and its cache lets ranges of one URL wait in line. */
export const remoteClient = (remote: RemoteModel, name: string, http: StoreHttp): RangeClient =>
  new RangeClient(remote.fileUrl(name), { ...http, headers: remote.headers, cache: "no-store" });

async function openRemote(
  remote: RemoteModel,
  name: string,
  http: StoreHttp,
  signal: AbortSignal,
): Promise<RemoteFile | undefined> {
  const client = remoteClient(remote, name, http);
  const answer = await orAbsent(client.get({ offset: 0, length: PREFIX_BYTES, signal }));
  if (!answer) return undefined;
  const { bytes, version } = answer;
  const whole = bytes.length === version.sizeBytes ? bytes : undefined;
  return { name, client, version, bytes: whole, sha256: saidHash(answer, remote) };
}

async function orAbsent<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (error instanceof WeftError && error.code === "file_not_found") return undefined;
    throw error;
  }
}

async function wholeOf(file: RemoteFile, signal: AbortSignal | undefined): Promise<Bytes> {
  const { bytes, client, version } = file;
  if (bytes) return bytes;
  if (version.sizeBytes > MAX_INDEX_BYTES) {
    throw new WeftError(
      "bad_safetensors",
      `${client.name} has ${version.sizeBytes} bytes, an index may have ${MAX_INDEX_BYTES}; ` +
        "take the file from the model's publisher",
    );
  }
  return (await client.get({ offset: 0, length: version.sizeBytes, version, signal })).bytes;
}

/**
 * SHA-256 of the whole file. An ETag may look like one and be another hash, so it counts only where a hub itself
 * answers, whose ETags of large files are their SHA-256, and not where it sends us on to another server.
 */
function saidHash({ response }: RangeAnswer, remote: RemoteModel): string | undefined {
  const { headers, redirected } = response;
  const isEncoded = headers.get("content-encoding") !== null;
  const digest = isEncoded ? undefined : digestField(headers.get("repr-digest"));
  if (digest !== undefined) return digest;
  const [, linked] = SHA256.exec(headers.get("x-linked-etag") ?? "") ?? [];
  if (linked !== undefined) return linked;
  const [, etag] = (remote.hub && !redirected && SHA256.exec(headers.get("etag") ?? "")) || [];
  return etag;
}

/** What the hub's list says of large files; undefined where it cannot be had: then it is not compared. */
async function hubHashes(
  { hub, headers }: RemoteModel,
  { fetch = globalThis.fetch, stallMs = HUB_LIST_MS }: StoreHttp,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, string> | undefined> {
  const late = AbortSignal.timeout(stallMs);
  const either = signal ? AbortSignal.any([signal, late]) : late;
  try {
    const response = await fetch(hub!.treeUrl, { headers, signal: either, cache: "no-store" });
    if (!response.ok) {
      await response.body?.cancel();
      return undefined;
    }
    const hashes = new Map<string, string>();
    for (const entry of (await response.json()) as unknown[]) {
      const { path, lfs } = Object(entry);
      const [, sha256] = SHA256.exec(String(lfs?.oid).replace(/^sha256:/, "")) ?? [];
      if (sha256 !== undefined) hashes.set(String(path), sha256);
    }
    return hashes;
  } catch {
    return undefined;
  }
}

const noConfig = ({ location }: RemoteModel): WeftError => notFound("config.json", location);
