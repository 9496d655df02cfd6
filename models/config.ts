/**
 * Typed reading of a raw config.json. Unknown keys are ignored, missing ones named, unsupported
 * values refused; nothing is guessed silently.
 */
import type { Activation } from "../kernels/activation.ts";
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "../kernels/half.ts";
import type { RopeScaling, RopeSpec } from "../kernels/rope-tables.ts";
import { ModelError } from "./errors.ts";

export type RawConfig = Readonly<Record<string, unknown>>;

/** @throws {ModelError} `bad_config` when absent or not a positive integer. */
export function count(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  throw badValue(key, value, "a positive integer");
}

export function positive(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw badValue(key, value, "a positive number");
}

/** A positive number, or undefined where the config has null; `fallback` where it has nothing. */
export const positiveOrNone = (
  config: RawConfig,
  key: string,
  fallback?: number,
): number | undefined =>
  config[key] === null || (config[key] === undefined && fallback === undefined)
    ? undefined
    : positive(config, key, fallback);

/**
 * Which layers are of a type, by `layer_types`, else by `fallback`; all others have full attention.
 * @throws {ModelError} for a list of another length, or another type of layer.
 */
export function layersOfType(
  own: "sliding_attention" | "conv",
  config: RawConfig,
  numLayers: number,
  fallback: (layer: number) => boolean,
): boolean[] {
  const types = config.layer_types;
  if (types == null) return Array.from({ length: numLayers }, (_, layer) => fallback(layer));
  if (!Array.isArray(types) || types.length !== numLayers) {
    throw badValue("layer_types", types, `a list of ${numLayers}, one for each hidden layer`);
  }
  return types.map((type, layer) => {
    if (type === own) return true;
    if (type === "full_attention") return false;
    throw unsupported(`layer_types[${layer}]`, type, `${own} or full_attention`);
  });
}

/** Which layers have a sliding window. */
export const windowedLayers = (
  config: RawConfig,
  numLayers: number,
  fallback: (layer: number) => boolean,
): boolean[] => layersOfType("sliding_attention", config, numLayers, fallback);

/** `value` as a model computes with it whose weights are of the config's type. */
export function inOwnType({ dtype, torch_dtype }: RawConfig, value: number): number {
  const type = dtype ?? torch_dtype;
  if (type === "bfloat16") return bf16ToNumber(numberToBf16(value));
  if (type === "float16") return f16ToNumber(numberToF16(value));
  return value;
}

/** A multiplier; undefined where it is 1, so that nothing is multiplied. */
export function multiplier(config: RawConfig, key: string): number | undefined {
  const value = positive(config, key, 1);
  return value === 1 ? undefined : value;
}

export function flag(config: RawConfig, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback;
  if (typeof value === "boolean") return value;
  throw badValue(key, value, "true or false");
}

/** How many layers come before others; may be none. @throws {ModelError} `bad_config`. */
export function layersBefore(config: RawConfig, key: string): number {
  const value = config[key];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw badValue(key, value, "a number of layers");
}

/** A list of layers; none where the key is missing. @throws {ModelError} `bad_config`. */
export function layerNumbers(config: RawConfig, key: string): readonly number[] {
  const list = config[key] ?? [];
  if (Array.isArray(list) && list.every((layer) => Number.isSafeInteger(layer))) return list;
  throw badValue(key, list, "a list of layer numbers");
}

export function activation(config: RawConfig, key = "hidden_act", fallback = "silu"): Activation {
  const name = config[key] ?? fallback;
  if (name === "silu" || name === "swish") return "silu";
  if (name === "gelu_pytorch_tanh" || name === "gelu_new") return "gelu_tanh";
  throw unsupported(key, name, "silu or gelu_pytorch_tanh");
}

/** head_dim where the config has it, else hidden_size / num_attention_heads. */
export function headSize(config: RawConfig): number {
  if (config.head_dim != null) return count(config, "head_dim");
  const hidden = count(config, "hidden_size");
  const heads = count(config, "num_attention_heads");
  if (hidden % heads !== 0) {
    throw unsupported("hidden_size", hidden, `a multiple of num_attention_heads (${heads})`);
  }
  return hidden / heads;
}

/**
 * Rotary settings, from `rope_theta` with `rope_scaling`, or from the newer `rope_parameters`.
 * @throws {ModelError} `unsupported_model` for a scaling that the tables do not compute.
 */
export function rope(config: RawConfig, headDim: number): RopeSpec {
  const scaling = (config.rope_parameters ?? config.rope_scaling ?? {}) as RawConfig;
  if (typeof scaling !== "object") throw badValue("rope_scaling", scaling, "an object");
  const base = positive({ ...config, ...scaling }, "rope_theta", 10_000);
  const rotaryFactor = positive({ ...config, ...scaling }, "partial_rotary_factor", 1);
  const pairs = Math.floor(headDim * rotaryFactor) / 2;
  return { headDim, base, rotaryFactor, scaling: ropeScaling(scaling, config, pairs) };
}

function ropeScaling(scaling: RawConfig, config: RawConfig, pairs: number): RopeScaling {
  const type = scaling.rope_type ?? scaling.type ?? "default";
  // Older files call it su, or yarn.
  if (type === "longrope" || scaling.short_factor != null) return longRope(scaling, config, pairs);
  if (type === "yarn") return yarn(scaling, config);
  if (type === "default") return { type };
  if (type === "linear") return { type, factor: positive(scaling, "factor") };
  if (type === "divisors") return { type, divisors: divisorsOf(scaling, "divisors", pairs) };
  if (type === "llama3") {
    const originalContext =
      scaling.original_max_position_embeddings ?? config.max_position_embeddings;
    return {
      type,
      factor: positive(scaling, "factor"),
      lowFreqFactor: positive(scaling, "low_freq_factor"),
      highFreqFactor: positive(scaling, "high_freq_factor"),
      originalContext: count({ originalContext }, "originalContext"),
    };
  }
  throw unsupported("rope_scaling.rope_type", type, "default, linear, llama3, longrope or yarn");
}

/** The first context is beside the scaling in Phi-3's files. */
function longRope(scaling: RawConfig, config: RawConfig, pairs: number): RopeScaling {
  const originalContext = firstContext({ ...scaling, ...config });
  const factor = stretch(scaling, config, originalContext);
  const usual =
    factor > 1 ? Math.sqrt(1 + Math.log(factor) / Math.log(Math.max(2, originalContext))) : 1;
  return {
    type: "longrope",
    shortDivisors: divisorsOf(scaling, "short_factor", pairs),
    longDivisors: divisorsOf(scaling, "long_factor", pairs),
    originalContext,
    attentionFactor: positive(scaling, "attention_factor", usual),
  };
}

function yarn(scaling: RawConfig, config: RawConfig): RopeScaling {
  const originalContext = firstContext({ ...config, ...scaling });
  const factor = stretch(scaling, config, originalContext);
  const growth = (scale: number) => (factor > 1 ? 0.1 * scale * Math.log(factor) + 1 : 1);
  const { mscale, mscale_all_dim } = scaling;
  const usual =
    mscale && mscale_all_dim
      ? growth(positive(scaling, "mscale")) / growth(positive(scaling, "mscale_all_dim"))
      : growth(1);
  return {
    type: "yarn",
    factor,
    betaFast: positive(scaling, "beta_fast", 32),
    betaSlow: positive(scaling, "beta_slow", 1),
    originalContext,
    truncate: flag(scaling, "truncate", true),
    attentionFactor: positive(scaling, "attention_factor", usual),
  };
}

const firstContext = ({ original_max_position_embeddings: first, ...config }: RawConfig): number =>
  count(
    { original_max_position_embeddings: first ?? config.max_position_embeddings },
    "original_max_position_embeddings",
  );

/** How far positions reach beyond the first context. */
const stretch = (scaling: RawConfig, config: RawConfig, originalContext: number): number =>
  scaling.factor == null
    ? count(config, "max_position_embeddings") / originalContext
    : positive(scaling, "factor");

/** `divisors` is not in files of Hugging Face: GGUF has these instead of llama3's parameters. */
function divisorsOf(scaling: RawConfig, key: string, pairs: number): readonly number[] {
  const list = scaling[key];
  const fits = (values: unknown[]) =>
    values.length === pairs && values.every((value) => Number.isFinite(value) && Number(value) > 0);
  if (Array.isArray(list) && fits(list)) return list;
  throw badValue(`rope_scaling.${key}`, list, `a list of ${pairs} positive numbers`);
}

/** Refuses a key whose value would change the result in a way that no graph of ours computes. */
export function requireValue(config: RawConfig, key: string, allowed: unknown): void {
  const value = config[key] ?? allowed;
  if (value !== allowed) throw unsupported(key, value, JSON.stringify(allowed));
}

export function unsupported(key: string, value: unknown, supported: string): ModelError {
  return new ModelError(
    "unsupported_model",
    `config.json has ${key} = ${JSON.stringify(value)}, Weft computes ${supported}; ` +
      "choose another checkpoint of this family",
  );
}

function badValue(key: string, value: unknown, required: string): ModelError {
  const actual = value === undefined ? "has no" : `has ${JSON.stringify(value)} as`;
  return new ModelError(
    "bad_config",
    `config.json ${actual} ${key}, which must be ${required}; take config.json from the model's publisher`,
  );
}
