/** Opens the device and the model's folder that the options name, and loads the engine on them. */
import type { Device } from "./device.ts";
import { Engine } from "./engine.ts";
import type { EngineOptions } from "./engine-options.ts";
import { WeftError } from "./errors.ts";
import { type GpuSource, openGpuDevice } from "./gpu/device.ts";
import { planModel } from "./load-model.ts";
import type { LoadModelOptions } from "./load-options.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import { modelName } from "./model-folder/model-name.ts";
import { type OpenLocalFolder, openModelFolder } from "./model-folder/open-folder.ts";
import type { HubOptions } from "./model-folder/remote-model.ts";
import { ReferenceDevice } from "./reference/device.ts";
import type { Port } from "./remote/port.ts";
import { keptFolder, type ModelSourceOptions, type OpenStore } from "./stored-model.ts";

export interface CreateEngineOptions
  extends Omit<EngineOptions, "adapters" | "layerRouters">,
    ModelSourceOptions {
  /**
   * Folder, GGUF file, http(s) URL of one of them, `hf:org/name`, a GGUF file as a Blob, or a folder
   * object.
   */
  readonly model: string | Blob | ModelFolder;
  /** What requests call the model, and `models.list()`; by default `org/name`, or its folder's or file's name. */
  readonly name?: string;
  /** By name, folders of ESFT adapters, as paths, URLs or folder objects: for `adapter` of requests. */
  readonly adapters?: Readonly<Record<string, string | ModelFolder>>;
  /** A folder with routers of layers, as `model`: for requests with the layer policy `routers`. */
  readonly layerRouters?: string | ModelFolder;
  /**
   * `gpu` by default. `reference` computes on the CPU: slow, correct, never chosen by itself. A
   * device opened before belongs to the engine from now on.
   */
  readonly device?: "gpu" | "reference" | Device;
}

/** What a platform brings: the only things that differ between browser and Node. */
export interface Platform {
  /** @throws {WeftError} `no_adapter` when there is no WebGPU implementation. */
  gpu(): ReturnType<GpuSource>;
  /** Opens the GPU's device in another way. */
  readonly open?: () => Promise<Device>;
  readonly openLocal?: OpenLocalFolder;
  /** What keeps downloads. */
  readonly openStore?: OpenStore;
  /** Starts the worker that knows what constrained answers may say. */
  readonly constraintPort?: () => Promise<Port>;
  /** Browser or Dawn, with its version. */
  readonly runtime: string;
  /** Of engines whose options name none. */
  readonly quantumMs: number;
  /** There is a page whose frames count, and this is its thread. */
  readonly isPage?: boolean;
}

/**
 * Waits until there is memory for a model.
 * @param bytesWithin What it takes with a `memoryBudgetBytes`, or without.
 * @returns The budget to load it with.
 */
export type MakeRoom = (
  bytesWithin: (budgetBytes: number | undefined) => Promise<number>,
) => Promise<number | undefined>;

export async function createEngineWith(
  platform: Platform,
  options: CreateEngineOptions,
  makeRoom?: MakeRoom,
): Promise<Engine> {
  try {
    const { model, hub } = options;
    const named = modelFolder(platform, model, hub);
    const given = options.device ?? "gpu";
    const open = () => openDevice(platform, given);
    const quantumMs = options.quantumMs ?? platform.quantumMs;
    const folders = Object.entries(options.adapters ?? {});
    const namedAdapters = folders.map(([, adapter]) => modelFolder(platform, adapter, hub));
    const routers = options.layerRouters;
    const namedRouters = routers === undefined ? undefined : modelFolder(platform, routers, hub);
    let device = await open();
    let isLost = false;
    void device.lost.then(() => {
      isLost = true;
    });
    try {
      const kept = keptFolder.bind(undefined, platform.openStore);
      const folder = await kept(model, named, options, (remote) => check(device, remote, options));
      const adapters: Record<string, ModelFolder> = {};
      for (const [i, [name, adapter]] of folders.entries()) {
        adapters[name] = await kept(adapter, namedAdapters[i], options);
      }
      const layerRouters = namedRouters && (await kept(routers, namedRouters, options));
      // A device that the caller has opened is the caller's to open again.
      const reopen = typeof given === "string" ? open : undefined;
      // A download takes its time, in which a device may be lost.
      if (reopen && isLost) device = await reopen();
      const { constraintPort } = platform;
      const name = options.name ?? modelName(model);
      const source = { folder, name, device, reopen, constraintPort };
      const loading = { ...options, adapters, layerRouters, quantumMs };
      const memoryBudgetBytes = makeRoom
        ? await makeRoom((budget) => bytesWithin(device, folder, loading, budget))
        : options.memoryBudgetBytes;
      const engine = await Engine.load(source, { ...loading, memoryBudgetBytes });
      if (platform.isPage) engine.pace.watchPage();
      return engine;
    } catch (error) {
      device.destroy();
      throw error;
    }
  } catch (error) {
    throw WeftError.from(error);
  }
}

export async function openDevice(
  platform: Platform,
  kind: "gpu" | "reference" | Device,
): Promise<Device> {
  if (typeof kind === "object") return kind;
  if (kind === "reference") return new ReferenceDevice();
  if (kind === "gpu" && platform.open) return platform.open();
  if (kind === "gpu") return openGpuDevice(await platform.gpu(), { runtime: platform.runtime });
  throw new WeftError(
    "bad_request",
    `device is ${JSON.stringify(kind)}, it must be "gpu" or "reference"; change the option`,
  );
}

export const modelFolder = (
  platform: Platform,
  model: string | Blob | ModelFolder,
  hub?: HubOptions,
): ModelFolder =>
  typeof model === "string" || model instanceof Blob
    ? openModelFolder(model, platform.openLocal, hub)
    : model;

async function bytesWithin(
  device: Device,
  folder: ModelFolder,
  options: LoadModelOptions,
  memoryBudgetBytes: number | undefined,
): Promise<number> {
  const plan = await planModel(device, folder, { ...options, memoryBudgetBytes });
  await plan.close();
  return plan.weightBytes + plan.activationBytes + plan.kv.totalBytes;
}

/** A model that cannot be loaded is refused before its weights are downloaded. */
async function check(
  device: Device,
  folder: ModelFolder,
  options: CreateEngineOptions,
): Promise<void> {
  const base = { ...options, adapters: undefined, layerRouters: undefined };
  await (await planModel(device, folder, base)).close();
}
