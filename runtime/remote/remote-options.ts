/** What an engine may be created with from afar: options that are plain data. Refuses the others by name. */
import type { CreateEngineOptions } from "../create-engine.ts";
import { WeftError } from "../errors.ts";
import { pageUrl } from "../model-folder/page-url.ts";

/** Functions and objects that belong to a thread. */
type Local =
  | "signal"
  | "onProgress"
  | "onPlan"
  | "onRead"
  | "tuning"
  | "device"
  | "model"
  | "adapters"
  | "layerRouters";

/** As `CreateEngineOptions`, but for what cannot leave its thread. */
export interface RemoteOptions extends RemoteSettings {
  /** An http(s) URL, `hf:org/name`, or a GGUF file as a Blob. */
  readonly model: string | Blob;
}

/** As `ModelSetOptions`, but for what cannot leave its thread. */
export interface RemoteSetOptions extends Omit<RemoteSettings, "name"> {
  readonly models: Readonly<
    Record<
      string,
      string | Blob | (Omit<RemoteOptions, "name" | "device"> & { readonly pinned?: boolean })
    >
  >;
}

export type AnyRemoteOptions = RemoteOptions | RemoteSetOptions;

interface RemoteSettings extends Omit<CreateEngineOptions, Local> {
  readonly adapters?: Readonly<Record<string, string>>;
  readonly layerRouters?: string;
  readonly device?: "gpu" | "reference";
}

/**
 * Addresses become absolute: a worker's own is another than the page's.
 * @throws {WeftError} `bad_request` for an option that cannot cross.
 */
export function remoteOptions<O extends AnyRemoteOptions>(given: O): O {
  const resolved = absolute(given);
  const options = Object.fromEntries(
    Object.entries(resolved).filter(([, value]) => value !== undefined),
  );
  for (const [name, value] of Object.entries(options)) {
    const found = uncloneable(name, value);
    if (found === undefined) continue;
    throw new WeftError(
      "bad_request",
      `${found} cannot be sent to another thread; create the engine on this one (createEngine of weft-llm), ` +
        "or leave the option out",
    );
  }
  return options as unknown as O;
}

type Addresses = Partial<RemoteOptions & RemoteSetOptions>;

function absolute(given: Addresses): Addresses {
  const { model, models, adapters, layerRouters } = given;
  const each = <V, W>(named: Readonly<Record<string, V>>, change: (value: V) => W) =>
    Object.fromEntries(Object.entries(named).map(([name, value]) => [name, change(value)]));
  return {
    ...given,
    model: model === undefined ? undefined : pageUrl(model),
    adapters: adapters && each(adapters, pageUrl),
    layerRouters: layerRouters && pageUrl(layerRouters),
    models:
      models &&
      each(models, (member) =>
        typeof member === "string" || member instanceof Blob
          ? pageUrl(member)
          : (absolute(member) as typeof member),
      ),
  };
}

/** The path of the first value that is no plain data. */
function uncloneable(path: string, value: unknown): string | undefined {
  if (typeof value === "function" || typeof value === "symbol") return path;
  if (typeof value !== "object" || value === null || value instanceof Blob) return undefined;
  const prototype = Object.getPrototypeOf(value);
  const isPlain = Array.isArray(value) || prototype === Object.prototype || prototype === null;
  if (!isPlain) return path;
  for (const [key, inner] of Object.entries(value)) {
    const found = uncloneable(`${path}.${key}`, inner);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Equal for options that mean the same engine. Blobs are the same only if they are one. */
export function optionsKey(options: AnyRemoteOptions): string {
  const blobs = (_: string, value: unknown) =>
    value instanceof Blob ? { blob: crypto.randomUUID() } : value;
  return JSON.stringify(sorted(options), blobs);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null || value instanceof Blob) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
