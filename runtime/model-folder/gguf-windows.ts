/** Of a GGUF file's sliding windows, what config.json says of them. */
import type { GgufHeader } from "../weights/gguf-header.ts";
import type { GgufMetadata } from "../weights/gguf-metadata.ts";
import type { Architecture } from "./gguf-architectures.ts";
import { unsupported } from "./gguf-unsupported.ts";

interface Layers {
  readonly name: string;
  readonly numLayers: number;
  readonly windows: Architecture["windows"];
}

/** @throws {WeftError} `unsupported_model` for a window that no model file of ours has, `bad_gguf`. */
export function ggufWindows(
  header: GgufHeader,
  metadata: GgufMetadata,
  { name, numLayers, windows }: Layers,
): { sliding_window: number | null } & Record<string, unknown> {
  const key = `${name}.attention.sliding_window`;
  const pattern = windows === "none" ? undefined : windows;
  const size = (metadata.count(key) ?? pattern?.size) || null;
  if (windows === "none" && size !== null) {
    throw unsupported(header, `${key} ${size}`, `${name} without it`);
  }
  if (!pattern || size === null) {
    return {
      sliding_window: size,
      use_sliding_window: size !== null,
      // GGUF has one window for all layers; Hugging Face's default would keep it from the lower ones.
      max_window_layers: 0,
      ...(pattern && { layer_types: typesOf(numLayers, () => false) }),
    };
  }
  const isWindowed = patternOf(metadata, `${key}_pattern`, { numLayers, ...pattern });
  return { sliding_window: size, layer_types: typesOf(numLayers, isWindowed) };
}

/** Of so many layers the last sees all; 0 is a window in each. Or a flag for each layer. */
function patternOf(
  metadata: GgufMetadata,
  key: string,
  { numLayers, period: usual }: { numLayers: number; period: number },
): (layer: number) => boolean {
  const flags = metadata.flags(key);
  if (flags && flags.length !== numLayers) {
    throw metadata.bad(`its ${key} has ${flags.length} flags, its layers are ${numLayers}`);
  }
  if (flags) return (layer) => flags[layer];
  const period = metadata.count(key) ?? usual;
  return (layer) => period === 0 || layer % period < period - 1;
}

const typesOf = (length: number, isWindowed: (layer: number) => boolean): string[] =>
  Array.from({ length }, (_, layer) =>
    isWindowed(layer) ? "sliding_attention" : "full_attention",
  );
