/** Where sessions have their engine from: one that there is, or one of their own in a worker. */
import {
  createEngine,
  type EngineApi,
  modelStore,
  type WorkerEngineOptions,
} from "../../worker.ts";
import type { CreateMonitor } from "./create-monitor.ts";

export type Availability = "unavailable" | "downloadable" | "downloading" | "available";

/** Either of them. */
export interface ModelSource {
  readonly engine?: EngineApi;
  /** As `createEngine` of `weft-llm/worker` takes it, or its options. */
  readonly model?: string | WorkerEngineOptions;
}

/** Models that are being downloaded for a session of this page. */
const downloading = new Set<string>();

/** An engine that is closed when the last session on it is destroyed, if it was made for them. */
export class SharedEngine {
  readonly engine: EngineApi;
  readonly #isOwn: boolean;
  #numUsers = 1;

  private constructor(engine: EngineApi, isOwn: boolean) {
    this.engine = engine;
    this.#isOwn = isOwn;
  }

  /** @throws {WeftError} of every kind that loading can; {TypeError} without a source. */
  static async open(
    { engine, model }: ModelSource,
    monitor: CreateMonitor,
    signal: AbortSignal | undefined,
  ): Promise<SharedEngine> {
    if (engine !== undefined) return new SharedEngine(checkedEngine(engine), false);
    if (model === undefined) throw new TypeError("give an engine, or a model to create one with");
    const options = optionsOf(model);
    const name = nameOf(options);
    if (name) downloading.add(name);
    try {
      const created = await createEngine({
        ...options,
        signal,
        onProgress: (progress) => {
          monitor.report(progress);
          options.onProgress?.(progress);
        },
      });
      return new SharedEngine(created, true);
    } finally {
      if (name) downloading.delete(name);
    }
  }

  share(): this {
    this.#numUsers += 1;
    return this;
  }

  leave(): void {
    this.#numUsers -= 1;
    if (this.#numUsers === 0 && this.#isOwn) void this.engine.close().catch(() => {});
  }
}

function checkedEngine(engine: EngineApi): EngineApi {
  if (typeof engine?.session === "function") return engine;
  throw new TypeError("engine must be what createEngine has made; await it first");
}

function optionsOf(model: string | WorkerEngineOptions): WorkerEngineOptions {
  if (typeof model === "string") return { model };
  if (typeof model === "object" && model !== null) return model;
  throw new TypeError(`model is ${model}, it must be an address or createEngine's options`);
}

/** Whether a session could be created, and what it would take. */
export async function availability({ engine, model }: ModelSource): Promise<Availability> {
  if (engine !== undefined) return "available";
  if (model === undefined) return "unavailable";
  const options = optionsOf(model);
  const isReference = "device" in options && options.device === "reference";
  if (!isReference && !(globalThis.navigator as { gpu?: unknown } | undefined)?.gpu) {
    return "unavailable";
  }
  const name = nameOf(options);
  // A file of the caller's is here.
  if (name === undefined) return "available";
  if (downloading.has(name)) return "downloading";
  const stored = await modelStore()
    .list()
    .catch(() => []);
  const known = [name, addressOf(name)];
  const isStored = stored.some(
    ({ model: id, location, versions }) =>
      versions.length > 0 && (known.includes(id) || known.includes(location)),
  );
  return isStored ? "available" : "downloadable";
}

/** As the store writes it: whole, and without a query. */
function addressOf(name: string): string {
  const base = globalThis.document?.baseURI;
  if (name.startsWith("hf:") || !URL.canParse(name, base)) return name;
  const url = new URL(name, base);
  return url.href.slice(0, url.href.length - url.search.length - url.hash.length);
}

const nameOf = (options: WorkerEngineOptions): string | undefined =>
  "model" in options && typeof options.model === "string" ? options.model : undefined;
