/** Options of every command that loads a model, and how a device and an engine are made of them. */
import {
  type CreateEngineOptions,
  createDevice,
  createEngine,
  type Device,
  type Engine,
  fileTuningCache,
  type HubOptions,
  type LoadModelOptions,
  type ModelSourceOptions,
  WeftError,
} from "../../node.ts";
import { log, type Terminal } from "./command.ts";
import { type OptionValues, required } from "./option.ts";
import { bytes, choice, flag, text } from "./option-types.ts";
import { ProgressBar } from "./progress-bar.ts";

export const deviceOptions = {
  device: choice(
    ["auto", "gpu", "reference"],
    "auto: the GPU, else, with a warning, the slow reference device",
  ),
};

export const modelOptions = {
  model: text(
    "M",
    "a folder, a .gguf file, an http(s) URL of either, hf:org/name, random:SHAPE, demo or demo-moe",
  ),
  ...deviceOptions,
  kv: choice(
    ["f16", "f32", "i8"],
    "storage of the KV cache; f16, or f32 where the weights are f32; i8: half of f16",
  ),
  activations: choice(
    ["f32", "i8"],
    "what rows are rounded to where weights are 8 or 4 bits; i8: faster where a GPU has integer dots",
  ),
  memoryBudget: bytes("weights, activations and KV cache together, e.g. 1.5e9, 1500M or 1.5G"),
  expertMemory: bytes("of it for experts, where not all fit: the others stay in the model's files"),
  quant: choice(
    ["none", "q8", "q4"],
    "quantise while loading: to 8.5 or 4.5 bits a weight; none: as they are stored",
  ),
  noInvariant: flag("let matrices add in any order: what else runs may then change a token"),
  noStore: flag("read a server's model from there each time, and keep nothing of it"),
  tuned: flag("with the kernels that bench kernels --tune found, and those that idle time finds"),
};

export type ModelValues = OptionValues<typeof modelOptions>;

export const requiredModel = ({ model }: ModelValues): string => required(model, "--model", "demo");

export const loadOptions = (values: ModelValues, { signal }: Terminal) => {
  const { kv, activations, quant, memoryBudget, expertMemory, noInvariant, noStore } = values;
  return {
    kv,
    activations,
    invariant: !noInvariant,
    quant: quant === "none" ? undefined : quant,
    memoryBudgetBytes: memoryBudget,
    experts: expertMemory === undefined ? undefined : { memoryBytes: expertMemory },
    store: noStore ? false : undefined,
    hub: hubOptions(),
    signal,
  } satisfies LoadModelOptions & ModelSourceOptions;
};

/** As the tools of Hugging Face are told. */
function hubOptions(): HubOptions {
  const { HF_ENDPOINT, HF_TOKEN } = process.env;
  return { baseUrl: HF_ENDPOINT || undefined, token: HF_TOKEN || undefined };
}

/** @throws {WeftError} `no_adapter` when a GPU was asked for by name. */
export async function openDevice(
  { device = "auto" }: Pick<ModelValues, "device">,
  terminal: Terminal,
): Promise<Device> {
  if (device !== "auto") return createDevice(device);
  try {
    return await createDevice("gpu");
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== "no_adapter") throw error;
    log(terminal, `weft: WARNING: no GPU: ${error.message}`);
    log(terminal, "weft: WARNING: going on with the reference device, on the CPU and very slow");
    return createDevice("reference");
  }
}

export interface LoadedEngine {
  readonly engine: Engine;
  readonly loadMs: number;
}

/** The engine owns its device: close it when done. */
export async function openEngine(
  values: ModelValues,
  terminal: Terminal,
  more: Pick<
    CreateEngineOptions,
    | "layerPlanFile"
    | "layerPlans"
    | "layerRouters"
    | "maxRows"
    | "name"
    | "onPlan"
    | "onRead"
    | "prefixCache"
    | "quantumMs"
  > & {
    readonly device?: Device;
  } = {},
): Promise<LoadedEngine> {
  const model = requiredModel(values);
  const progress = new ProgressBar(terminal);
  const startedMs = performance.now();
  const device = more.device ?? (await openDevice(values, terminal));
  try {
    const engine = await createEngine({
      ...loadOptions(values, terminal),
      ...(values.tuned && { tuning: fileTuningCache() }),
      ...more,
      model,
      device,
      onProgress: progress.bytes,
    });
    warnOfDemotions(engine, terminal);
    return { engine, loadMs: performance.now() - startedMs };
  } finally {
    progress.clear();
  }
}

function warnOfDemotions({ selfTest }: Engine, terminal: Terminal): void {
  for (const demoted of selfTest.demoted) log(terminal, `weft: WARNING: not used: ${demoted}`);
}
