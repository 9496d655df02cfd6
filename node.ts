/** The public door in Node: `weft-llm` with Dawn (npm `webgpu`), local models and the demo model. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import {
  type CalibrateOptions,
  type Calibration,
  calibrate as calibrateModel,
} from "./runtime/calibration/calibrate.ts";
import { type CreateEngineOptions, openDevice } from "./runtime/create-engine.ts";
import { createHosted } from "./runtime/create-hosted.ts";
import type { Device } from "./runtime/device.ts";
import type { Engine } from "./runtime/engine.ts";
import type { EngineApi } from "./runtime/engine-api.ts";
import { reasonOf, WeftError } from "./runtime/errors.ts";
import { paceDawn } from "./runtime/gpu/dawn-polling.ts";
import { type ModelPlan, planModel } from "./runtime/load-model.ts";
import type { LoadModelOptions } from "./runtime/load-options.ts";
import { type LogitsOptions, modelLogits, type PositionLogits } from "./runtime/logits.ts";
import { localModel } from "./runtime/model-folder/local-folder.ts";
import type { ModelFolder } from "./runtime/model-folder/model-folder.ts";
import { openModelFolder } from "./runtime/model-folder/open-folder.ts";
import type { ModelSetOptions } from "./runtime/model-set/model-set-options.ts";
import { createOverflowing, type WithOverflow } from "./runtime/overflow/create-overflowing.ts";
import { type Endpoint, engineHost } from "./runtime/remote/connect.ts";
import { directoryFiles, modelsDirectory } from "./runtime/store/directory-files.ts";
import { ModelStore } from "./runtime/store/model-store.ts";
import { keptFolder, type ModelSourceOptions } from "./runtime/stored-model.ts";

export * from "./index.ts";
export type {
  CalibrateOptions,
  Calibration,
  CalibrationProgress,
} from "./runtime/calibration/calibrate.ts";
export type { MeasuredPolicy } from "./runtime/calibration/measured-policies.ts";
export { type CalibrationTask, readTasks } from "./runtime/calibration/task-accuracy.ts";
export { capacity } from "./runtime/capacity.ts";
export type { ModelPlan } from "./runtime/load-model.ts";
export type { LogitsOptions, PositionLogits } from "./runtime/logits.ts";
export { preferredShapes } from "./runtime/optional-families.ts";
export { countWeights } from "./runtime/placed-weight.ts";
export { type SelfTestReport, selfTest } from "./runtime/self-test.ts";
export { type MeteredStep, predictedBytes, StepMeter } from "./runtime/step-meter.ts";
export { type FileTuningCacheOptions, fileTuningCache } from "./runtime/tuning/file-cache.ts";
export {
  type MatrixUse,
  type TuneOptions,
  type TuneRequest,
  type TuneResult,
  tuneMatrices,
} from "./runtime/tuning/tune-matrices.ts";

/** Dawn crashes the process when the object from `create` is collected: the one module global. */
let dawn: unknown;

const platform = {
  gpu: loadDawn as () => Promise<never>,
  openLocal: localModel,
  async openStore() {
    return modelStore();
  },
  async constraintPort() {
    return (await import("./runtime/constraint/node-worker.ts")).constraintPort();
  },
  get runtime() {
    return dawnVersion();
  },
  quantumMs: 50,
  isPage: false,
};

/**
 * Loads a model and gets it ready to answer. `demo` and `demo-moe` name the small models that come with Weft.
 * @throws {WeftError}
 */
export async function createEngine(options: CreateEngineOptions): Promise<Engine>;
/** Several models behind one API (`models`), or a cluster for what this engine has no room for (`overflow`). */
export async function createEngine(
  options: ModelSetOptions | ((CreateEngineOptions | ModelSetOptions) & WithOverflow),
): Promise<EngineApi>;
/** As declared: what it does not need is not loaded. */
export async function createEngine(
  options: (CreateEngineOptions | ModelSetOptions) & Partial<WithOverflow>,
): Promise<EngineApi> {
  const { overflow, ...rest } = options;
  const create = () => createHosted(platform, rest, resolveModel);
  return overflow ? createOverflowing(overflow, create) : create();
}

/**
 * Makes this thread or process the host of engines for others: call it with each port that they connect
 * by (`connectEngine`). Those that ask for the same engine share one.
 */
export const hostEngines: (endpoint: Endpoint) => void = /* @__PURE__ */ engineHost(
  (options, how) => createHosted(platform, { ...options, ...how }, resolveModel),
);

/** @throws {WeftError} `no_adapter`. */
export const createDevice = (kind: "gpu" | "reference" = "gpu"): Promise<Device> =>
  openDevice(platform, kind);

/**
 * The models that are kept in a directory: by default in the one of the user's caches, where `createEngine` keeps
 * what it downloads. To load from another, give `createEngine` its `open(model)` as the model.
 */
export const modelStore = (directory: string = modelsDirectory()): ModelStore =>
  new ModelStore(directoryFiles(directory));

/** What a model needs on a device, from its headers alone. Close it when done. @throws {WeftError} */
export async function inspect(
  device: Device,
  model: string,
  options: LoadModelOptions & Pick<ModelSourceOptions, "hub"> = {},
): Promise<ModelPlan> {
  try {
    const folder = openModelFolder(resolveModel(model), localModel, options.hub);
    return await planModel(device, folder, options);
  } catch (error) {
    throw WeftError.from(error);
  }
}

/**
 * Float32 logits of the ids, position by position: to compare with any other implementation.
 * Loads the model for this alone; the device may be used again.
 * @throws {WeftError} of every kind that loading can; `bad_request`, `request_too_long`.
 */
export async function* logits(
  device: Device,
  model: string,
  ids: readonly number[],
  options: LogitsOptions & ModelSourceOptions = {},
): AsyncGenerator<PositionLogits, void, undefined> {
  try {
    const folder = await openModel(model, options, options.onProgress);
    yield* modelLogits(device, folder, ids, options);
  } catch (error) {
    throw WeftError.from(error);
  }
}

/**
 * Layer plans for a model, found by measurement: with what each costs, and which draft best. Takes minutes
 * for a large model. The device belongs to it, and is destroyed.
 * @throws {WeftError} of every kind that loading can; `bad_file` for tasks.
 */
export async function calibrate(
  device: Device,
  model: string,
  options: CalibrateOptions & ModelSourceOptions = {},
): Promise<Calibration> {
  try {
    const folder = await openModel(model, options, options.onLoad);
    return await calibrateModel(device, folder, options);
  } catch (error) {
    device.destroy();
    throw WeftError.from(error);
  }
}

async function openModel(
  name: string,
  { store, hub, signal }: ModelSourceOptions & Pick<LoadModelOptions, "signal">,
  onProgress: LoadModelOptions["onProgress"],
): Promise<ModelFolder> {
  const model = resolveModel(name);
  const named = openModelFolder(model, localModel, hub);
  return keptFolder(platform.openStore, model, named, { store, hub, signal, onProgress });
}

function resolveModel<M>(model: M): M | string {
  if (model !== "demo" && model !== "demo-moe") return model;
  // Beside this file in a checkout; above dist/ or dist/chunks/ once bundled.
  const places = ["./assets/", "../assets/", "../../assets/"].map((path) =>
    fileURLToPath(new URL(`${path}${model}`, import.meta.url)),
  );
  const found = places.find((path) => existsSync(path));
  if (found) return found;
  throw new WeftError(
    "file_not_found",
    `the model ${model} is not beside Weft: its repository has it, its package has demo alone; ` +
      "take demo, or clone the repository",
  );
}

/** Dawn's `navigator.gpu`, for other libraries that look for one. @throws {WeftError} `no_adapter`. */
export const dawnGpu = (): Promise<unknown> => loadDawn();

/** Dawn has no version of its own; that of its package stands for it. */
function dawnVersion(): string {
  try {
    return `webgpu ${createRequire(import.meta.url)("webgpu/package.json").version}`;
  } catch {
    return "webgpu";
  }
}

/** `WEFT_DAWN` holds Dawn's own switches, as `name=value` with spaces between. */
async function loadDawn(): Promise<unknown> {
  if (dawn) return dawn;
  try {
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    paceDawn(globals);
    dawn = create(process.env.WEFT_DAWN?.split(/\s+/).filter(Boolean) ?? []);
    return dawn;
  } catch (cause) {
    throw new WeftError(
      "no_adapter",
      `Dawn could not be loaded: ${reasonOf(cause)}; install it with \`npm install webgpu\`, ` +
        "or choose device: 'reference' to run slowly on the CPU",
      { cause },
    );
  }
}
