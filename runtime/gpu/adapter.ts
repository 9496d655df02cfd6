/** Finds an adapter and asks for all that Weft can use of it. Names what is missing when there is none. */
import type { DeviceLimits, Tier } from "../device.ts";
import { reasonOf, WeftError } from "../errors.ts";

const WANTED_FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;
const WANTED_LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
] as const;

export interface AdapterOptions {
  /** `baseline`: no features and default limits, what every WebGPU implementation has. */
  readonly profile?: "full" | "baseline";
  /** The WebGPU implementation and its version, e.g. a browser's user agent. */
  readonly runtime?: string;
}

export interface OpenedAdapter {
  readonly device: GPUDevice;
  readonly name: string;
  readonly identity: string;
  readonly tier: Tier;
  readonly languageFeatures: readonly string[];
  readonly limits: DeviceLimits;
  readonly subgroupSize?: number;
  readonly software: boolean;
}

/** @throws {WeftError} `no_adapter`. */
export async function openAdapter(gpu: GPU | undefined, options: AdapterOptions = {}) {
  const cure =
    "update the browser and its GPU driver, or choose device: 'reference' to run slowly on the CPU";
  if (!gpu) {
    throw new WeftError(
      "no_adapter",
      `this runtime has no WebGPU (navigator.gpu is missing); in Node import weft-llm/node, else ${cure}`,
    );
  }
  const refused = (cause: unknown): never => {
    throw new WeftError("no_adapter", `the GPU gave no device: ${reasonOf(cause)}; ${cure}`, {
      cause,
    });
  };
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(refused);
  if (!adapter) {
    throw new WeftError("no_adapter", `WebGPU is present but offers no adapter; ${cure}`);
  }
  const full = options.profile !== "baseline";
  const requiredFeatures = full ? WANTED_FEATURES.filter((f) => adapter.features.has(f)) : [];
  const requiredLimits = full
    ? Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]))
    : {};
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits }).catch(refused);
  const { limits } = device;
  return {
    device,
    name: adapterName(adapter.info),
    identity: identityOf(adapter.info, options.runtime),
    tier: tierOf(device.features),
    // Older browsers have no such list.
    languageFeatures: [...(gpu.wgslLanguageFeatures ?? [])].sort(),
    ...(device.features.has("subgroups") && fixedSubgroupSize(adapter.info)),
    software: adapter.info.isFallbackAdapter,
    limits: {
      maxBindingBytes: limits.maxStorageBufferBindingSize,
      maxBufferBytes: limits.maxBufferSize,
      offsetAlignmentBytes: limits.minStorageBufferOffsetAlignment,
      maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
    },
  } satisfies OpenedAdapter;
}

/** Some drivers choose the size per pipeline, out of a range: kernels cannot count on it there. */
function fixedSubgroupSize({ subgroupMinSize, subgroupMaxSize }: GPUAdapterInfo) {
  return subgroupMinSize === subgroupMaxSize ? { subgroupSize: subgroupMinSize } : {};
}

function tierOf(features: GPUSupportedFeatures): Tier {
  if (!features.has("shader-f16")) return "T0";
  return features.has("subgroups") ? "T2" : "T1";
}

const identityOf = (
  { vendor, architecture, device, description }: GPUAdapterInfo,
  runtime = "",
): string => [vendor, architecture, device, description, runtime].join("|");

function adapterName({ description, device, vendor, architecture }: GPUAdapterInfo): string {
  return description || device || [vendor, architecture].filter(Boolean).join(" ") || "unnamed";
}
