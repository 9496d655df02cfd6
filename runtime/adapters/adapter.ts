/**
 * An expert-specialised adapter: experts of its own in place of some of the base model's, as ESFT saves
 * them. Reads what it replaces, from headers alone, and refuses what is more than experts.
 * @see Wang et al., arXiv:2407.01906; `expert_cfg.json` of deepseek-ai/ESFT.
 */
import type { DecoderSpec } from "../../models/decoder.ts";
import { numMatrices } from "../../models/moe.ts";
import { WeftError } from "../errors.ts";
import { type ModelFolder, readText } from "../model-folder/model-folder.ts";
import { parseJsonFile } from "../model-folder/strict-json.ts";
import type { Checkpoint, WeightTensor } from "../weights/checkpoint.ts";
import { openCheckpoint } from "../weights/open-checkpoint.ts";

export const ADAPTER_CONFIG = "expert_cfg.json";

export interface Adapter {
  readonly name: string;
  /** By layer, rising. */
  readonly experts: ReadonlyMap<number, readonly number[]>;
  /** @param tensor As in the base model, e.g. `model.layers.1.mlp.experts.8.down_proj.weight`. */
  tensor(tensor: string, shape: readonly number[]): WeightTensor;
  close(): Promise<void>;
}

/** @throws {WeftError} `file_not_found`, `bad_file`, `unsupported_model`, and what checkpoints throw. */
export async function openAdapters(
  folders: Readonly<Record<string, ModelFolder>>,
  spec: DecoderSpec,
  signal?: AbortSignal,
): Promise<Adapter[]> {
  const adapters: Adapter[] = [];
  try {
    for (const [name, folder] of Object.entries(folders)) {
      adapters.push(await openAdapter(name, folder, spec, signal));
    }
    return adapters;
  } catch (error) {
    for (const adapter of adapters) await adapter.close();
    throw error;
  }
}

async function openAdapter(
  name: string,
  folder: ModelFolder,
  spec: DecoderSpec,
  signal?: AbortSignal,
): Promise<Adapter> {
  const config = parseJsonFile(await readText(folder, ADAPTER_CONFIG, signal), ADAPTER_CONFIG);
  const experts = readExperts(config as RawAdapter, folder.location, spec);
  const checkpoint = await openCheckpoint(folder, signal);
  return {
    ...{ name, experts },
    tensor: (tensor, shape) => checkpoint.tensor(nameIn(checkpoint, tensor), shape),
    close: () => checkpoint.close(),
  };
}

interface RawAdapter {
  readonly experts?: unknown;
  readonly shared_experts?: unknown;
  readonly non_expert_modules?: unknown;
}

/** Saved from within a model, names lack their first part. */
const nameIn = (checkpoint: Checkpoint, tensor: string): string => {
  const within = tensor.replace(/^model\./, "");
  return !checkpoint.has(tensor) && checkpoint.has(within) ? within : tensor;
};

function readExperts(config: RawAdapter, location: string, spec: DecoderSpec) {
  for (const key of ["shared_experts", "non_expert_modules"] as const) {
    if (!config[key]) continue;
    throw new WeftError(
      "unsupported_model",
      `${location}/${ADAPTER_CONFIG} has ${key} = ${JSON.stringify(config[key])}: such an adapter changes what all ` +
        "requests share; take one of experts alone, or load the tuned model by itself",
    );
  }
  const bad = (what: string, required: string) =>
    new WeftError(
      "bad_file",
      `${location}/${ADAPTER_CONFIG} has ${what}, it needs ${required}; the adapter does not belong to this model`,
    );
  const { experts } = config;
  if (typeof experts !== "object" || experts === null || Array.isArray(experts)) {
    throw bad(`experts = ${JSON.stringify(experts)}`, "an object of lists by layer");
  }
  return new Map(
    Object.entries(experts).map(([key, ids]: [string, unknown]): [number, number[]] => {
      const moe = spec.layers[Number(key)]?.moe;
      if (!moe) throw bad(`experts of layer ${key}`, "layers that have experts");
      const count = numMatrices(moe.router);
      const isId = (id: unknown) => Number.isInteger(id) && Number(id) >= 0 && Number(id) < count;
      if (!Array.isArray(ids) || !ids.every(isId)) {
        throw bad(`experts ${JSON.stringify(ids)} in layer ${key}`, `ids from 0 to ${count - 1}`);
      }
      return [Number(key), [...new Set(ids as number[])].sort((a, b) => a - b)];
    }),
  );
}
