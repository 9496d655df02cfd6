/**
 * The tensors of a model in safetensors, in one file or in shards. Owns which file a tensor is in.
 * Reads headers only; refuses a dtype when that tensor is asked for, not before.
 */
import { WeftError } from "../errors.ts";
import type { ModelFolder } from "../model-folder/model-folder.ts";
import { readText } from "../model-folder/model-folder.ts";
import { JsonError, type JsonValue, parseStrictJson } from "../model-folder/strict-json.ts";
import type { ByteSource } from "./byte-source.ts";
import {
  type Checkpoint,
  type CheckpointFormat,
  missingTensor,
  type TensorEntry,
  type WeightTensor,
  weightTensor,
} from "./checkpoint.ts";
import { SAFETENSORS_DTYPES } from "./dtype.ts";
import { readHeader } from "./safetensors-header.ts";

export const SINGLE = "model.safetensors";
export const INDEX = "model.safetensors.index.json";

const FORMAT: CheckpointFormat = { dtypes: SAFETENSORS_DTYPES, badFile: "bad_safetensors" };

class SafetensorsCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly location: string;
  readonly #sources: readonly ByteSource[];

  constructor(
    location: string,
    tensors: ReadonlyMap<string, TensorEntry>,
    sources: readonly ByteSource[],
  ) {
    this.location = location;
    this.tensors = tensors;
    this.#sources = sources;
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  tensor(name: string, shape?: readonly number[]): WeightTensor {
    const entry = this.tensors.get(name);
    if (!entry) throw missingTensor(name, this);
    return weightTensor(entry, shape, FORMAT);
  }

  async close(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.close?.()));
  }
}

/** @throws {WeftError} `file_not_found`, `bad_safetensors`, `bad_file`, `missing_tensor`. */
export async function openSafetensors(
  folder: ModelFolder,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const sources: ByteSource[] = [];
  const open = async (name: string) => {
    const source = await folder.open(name, signal);
    sources.push(source);
    return readHeader(source, signal);
  };
  try {
    const tensors = (await ifPresent(open(SINGLE))) ?? (await openShards(folder, open, signal));
    return new SafetensorsCheckpoint(folder.location, tensors, sources);
  } catch (error) {
    await Promise.allSettled(sources.map((source) => source.close?.()));
    throw error;
  }
}

/** What was opened, or undefined where there is no such file. */
async function ifPresent<T>(opening: Promise<T>): Promise<T | undefined> {
  try {
    return await opening;
  } catch (error) {
    if (error instanceof WeftError && error.code === "file_not_found") return undefined;
    throw error;
  }
}

async function openShards(
  folder: ModelFolder,
  open: (name: string) => Promise<Map<string, TensorEntry>>,
  signal: AbortSignal | undefined,
): Promise<Map<string, TensorEntry>> {
  const index = await ifPresent(readText(folder, INDEX, signal));
  if (index === undefined) {
    throw noWeights(folder.location);
  }
  const shards = new Map<string, Map<string, TensorEntry>>();
  const tensors = new Map<string, TensorEntry>();
  for (const [name, shard] of parseIndex(index, folder.location)) {
    let entries = shards.get(shard);
    if (!entries) {
      entries = await open(shard);
      shards.set(shard, entries);
    }
    const entry = entries.get(name);
    if (!entry) {
      throw new WeftError(
        "missing_tensor",
        `${folder.location}: ${INDEX} says that tensor ${name} is in ${shard}, which does not ` +
          `have it; download both again`,
      );
    }
    tensors.set(name, entry);
  }
  return tensors;
}

export const noWeights = (location: string): WeftError =>
  new WeftError(
    "file_not_found",
    `${location} has neither ${SINGLE} nor ${INDEX}; give a folder with safetensors ` +
      `weights (other formats must be converted)`,
  );

/** Shard by tensor. Shard names are checked when they are opened. @throws {WeftError} `bad_safetensors`. */
export function parseIndex(text: string, location: string): ReadonlyMap<string, string> {
  const fault = (what: string, cause?: unknown) =>
    new WeftError("bad_safetensors", `${location}: ${INDEX} ${what}; download it again`, {
      cause,
    });
  let index: JsonValue;
  try {
    index = parseStrictJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw fault(`is not valid JSON: ${error.message} at ${error.position}`, error);
  }
  const weightMap = index instanceof Map ? index.get("weight_map") : undefined;
  if (!(weightMap instanceof Map)) throw fault("has no weight_map");
  for (const [name, shard] of weightMap) {
    if (typeof shard !== "string") throw fault(`maps tensor ${name} to no file name`);
  }
  return weightMap as Map<string, string>;
}
