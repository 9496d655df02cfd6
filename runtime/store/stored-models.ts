/** What a store holds, as its user sees it: models, their versions, and what cut downloads have left. */
import type { FileStore } from "./file-store.ts";
import { completeVersions, foldersOf, type Manifest, modelKey } from "./manifest.ts";

export interface StoredModel extends ModelName {
  /** Whole ones, the newest first. */
  readonly versions: readonly StoredVersion[];
  /** Of downloads that were cut: the next one goes on from there. */
  readonly partialBytes: number;
}

export interface StoredVersion {
  readonly version: string;
  /** Of all its files; versions share those that are the same. */
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly storedAtMs: number;
  /** Names of its files. */
  readonly files: readonly string[];
}

export interface ModelName {
  /** `hf:org/name[@revision]`, or the URL without its query. */
  readonly model: string;
  /** URL of its folder or file. */
  readonly location: string;
}

export function storedVersion({ version, files, storedAtMs }: Manifest): StoredVersion {
  const sizeBytes = Object.values(files).reduce((sum, file) => sum + file.sizeBytes, 0);
  return { version, sizeBytes, storedAtMs, files: Object.keys(files).sort() };
}

export async function listStored(files: FileStore): Promise<StoredModel[]> {
  const models = await Promise.all((await files.folders("")).map((key) => storedModel(files, key)));
  return models.filter((model) => model !== undefined);
}

async function storedModel(files: FileStore, key: string): Promise<StoredModel | undefined> {
  const name = await readName(files, key);
  if (!name || (await modelKey(name.location)) !== key) return undefined;
  const whole = await completeVersions(files, key);
  const inVersions = foldersOf(whole);
  let partialBytes = 0;
  for (const folder of await files.folders(`${key}/files`)) {
    if (inVersions.has(folder)) continue;
    for (const sizeBytes of (await files.files(`${key}/files/${folder}`)).values()) {
      partialBytes += sizeBytes;
    }
  }
  return { ...name, versions: whole.map(storedVersion), partialBytes };
}

export function writeName(files: FileStore, key: string, name: ModelName): Promise<void> {
  return files.write(`${key}/model.json`, new TextEncoder().encode(JSON.stringify(name)));
}

/** Undefined where there is none that can be read. */
export async function readName(files: FileStore, key: string): Promise<ModelName | undefined> {
  const bytes = await files.read(`${key}/model.json`);
  if (!bytes) return undefined;
  try {
    const { model, location } = Object(JSON.parse(new TextDecoder().decode(bytes)));
    if (typeof model === "string" && typeof location === "string") return { model, location };
  } catch {
    // As none: it is written anew with the next download.
  }
  return undefined;
}
