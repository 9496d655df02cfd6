/**
 * What config.json says of quantised weights: MLX's `quantization`, or `quantization_config` of
 * transformers. Owns which methods are supported; refuses others by name, before a weight is read.
 */
import { groupSizes } from "../../kernels/formats/int4-group.ts";
import { WeftError } from "../errors.ts";

type Json = Readonly<Record<string, unknown>>;

/** How a model's quantised matrices are stored; which ones are, the tensors tell. */
export type Quantisation = GroupQuantisation | { readonly method: "mxfp4" };

export interface GroupQuantisation {
  readonly method: "mlx" | "awq" | "gptq";
  /** Columns that share a scale: a multiple of 32, or −1 for all of a row. */
  readonly groupSize: number;
  /** Of single modules, where they differ: MLX's mixed models. */
  readonly moduleGroupSizes: ReadonlyMap<string, number>;
  /** What is added to a stored zero point. GPTQ's first format stores one less. */
  readonly zeroPointShift: 0 | 1;
}

const SUPPORTED =
  "4-bit MLX (affine), AWQ (gemm), GPTQ (without act-order) and MXFP4 of gpt-oss are supported";
const CURE = "take the model in one of these, as GGUF, or unquantised";

/** Undefined where the weights are plain. @throws {WeftError} `unsupported_model`. */
export function readQuantisation(config: Json): Quantisation | undefined {
  if (isPresent(config.quantization)) return mlx(object("quantization", config.quantization));
  if (!isPresent(config.quantization_config)) return undefined;
  const settings = object("quantization_config", config.quantization_config);
  const method = settings.quant_method;
  if (method === "awq") return awq(settings);
  if (method === "gptq") return gptq(settings);
  if (method === "mxfp4") return { method };
  throw unsupported("quantization_config.quant_method", method);
}

function mlx(settings: Json): GroupQuantisation {
  requireMlx("quantization", settings);
  const modules = new Map<string, number>();
  for (const [name, value] of Object.entries(settings)) {
    // `true` and `false` say whether a module is quantised, which its tensors say too.
    if (typeof value !== "object" || value === null) continue;
    const module = object(`quantization.${name}`, value);
    requireMlx(`quantization.${name}`, module);
    modules.set(name, groupSize(`quantization.${name}.group_size`, module.group_size));
  }
  return {
    method: "mlx",
    groupSize: groupSize("quantization.group_size", settings.group_size),
    moduleGroupSizes: modules,
    zeroPointShift: 0,
  };
}

function requireMlx(key: string, { bits, mode }: Json): void {
  if (bits !== 4) throw unsupported(`${key}.bits`, bits);
  if (isPresent(mode) && mode !== "affine") throw unsupported(`${key}.mode`, mode);
}

function awq(settings: Json): GroupQuantisation {
  const { version = "gemm" } = settings;
  if (String(version).toLowerCase() !== "gemm") {
    throw unsupported("quantization_config.version", version);
  }
  return transposed("awq", settings, 0);
}

function gptq(settings: Json): GroupQuantisation {
  const { checkpoint_format: format = "gptq", desc_act: actOrder, dynamic } = settings;
  if (actOrder === true && settings.static_groups !== true) {
    throw unsupported("quantization_config.desc_act", actOrder);
  }
  if (format !== "gptq" && format !== "gptq_v2") {
    throw unsupported("quantization_config.checkpoint_format", format);
  }
  if (isPresent(dynamic) && Object.keys(object("dynamic", dynamic)).length > 0) {
    throw unsupported("quantization_config.dynamic", dynamic);
  }
  return transposed("gptq", settings, format === "gptq" ? 1 : 0);
}

function transposed(
  method: "awq" | "gptq",
  settings: Json,
  zeroPointShift: 0 | 1,
): GroupQuantisation {
  if (settings.bits !== 4) throw unsupported("quantization_config.bits", settings.bits);
  return {
    method,
    groupSize: groupSize("quantization_config.group_size", settings.group_size),
    moduleGroupSizes: new Map(),
    zeroPointShift,
  };
}

function groupSize(key: string, value: unknown): number {
  const isGroup = Number.isSafeInteger(value) && Number(value) > 0;
  if (value === -1 || (isGroup && Number(value) % groupSizes[0] === 0)) return Number(value);
  throw new WeftError(
    "unsupported_model",
    `config.json has ${key} = ${shown(value)}, groups of a multiple of ${groupSizes[0]} columns, ` +
      `or -1, are supported; ${CURE}`,
  );
}

const isPresent = (value: unknown): boolean => value !== undefined && value !== null;

function object(key: string, value: unknown): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw unsupported(key, value);
}

const unsupported = (key: string, value: unknown): WeftError =>
  new WeftError(
    "unsupported_model",
    `config.json has ${key} = ${shown(value)}; ${SUPPORTED}: ${CURE}`,
  );

/** Values come from the file and may be long. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
