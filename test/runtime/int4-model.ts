// Tiny models whose matrices are 4-bit groups, written as MLX, AWQ and GPTQ write them, each beside
// its twin: the same model with those matrices as the f32 that the groups stand for.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { f16ToNumber, numberToF16 } from "../../kernels/half.ts";
import { localFolder } from "../../runtime/model-folder/local-folder.ts";
import { blobFolder, type ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import { openCheckpoint } from "../../runtime/weights/open-checkpoint.ts";
import { readFloat32 } from "../../runtime/weights/stream.ts";
import { bytesOf, safetensorsFile, type TensorSpec } from "./weights/safetensors-file.ts";

export type Method = "mlx" | "awq" | "gptq";
export const methods: readonly Method[] = ["mlx", "awq", "gptq"];

type Tensors = Record<string, TensorSpec>;

export interface Int4Model {
  readonly config: Record<string, unknown>;
  readonly tensors: Tensors;
  /** Weights that the groups stand for, and all others as they are. */
  readonly twin: Tensors;
}

const source = fileURLToPath(new URL("../fixtures/goldens/qwen3/f16", import.meta.url));
const GROUP: Readonly<Record<Method, number>> = { mlx: 32, awq: 64, gptq: 32 };

/** From the golden model qwen3/f16: all matrices in MLX, the projections in AWQ and GPTQ. */
export async function int4Model(method: Method): Promise<Int4Model> {
  const checkpoint = await openCheckpoint(localFolder(source));
  const tensors: Tensors = {};
  const twin: Tensors = {};
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const values = await readFloat32(checkpoint.tensor(name));
    if (shape.length === 2 && (method === "mlx" || name.includes("_proj"))) {
      const [rows, columns] = shape as [number, number];
      const groups = quantise(values, GROUP[method], method === "mlx");
      for (const [part, spec] of Object.entries(layouts[method](groups, rows, columns))) {
        tensors[name.replace(/weight$/, part)] = spec;
      }
      twin[name] = { dtype: "F32", shape, bytes: bytesOf(groups.values) };
    } else {
      const bytes = bytesOf(Uint16Array.from(values, numberToF16));
      tensors[name] = { dtype, shape, bytes };
      twin[name] = { dtype, shape, bytes };
    }
  }
  await checkpoint.close();
  const config = JSON.parse(readFileSync(`${source}/config.json`, "utf8"));
  const settings = { bits: 4, group_size: GROUP[method] };
  const quantised =
    method === "mlx"
      ? { quantization: settings, quantization_config: settings }
      : { quantization_config: { quant_method: method, ...settings } };
  return { config: { ...config, ...quantised }, tensors, twin };
}

export const folderOf = (config: object, file: Uint8Array<ArrayBuffer>): ModelFolder =>
  blobFolder(
    new Map([
      ["config.json", new Blob([JSON.stringify(config)])],
      ["model.safetensors", new Blob([file])],
    ]),
    "models/tiny",
  );

/** The model, and the model that its groups stand for. */
export function bothFolders({
  config,
  tensors,
  twin,
}: Int4Model): Record<"model" | "twin", ModelFolder> {
  const { quantization, quantization_config, ...plain } = config;
  return {
    model: folderOf(config, safetensorsFile(tensors)),
    twin: folderOf(plain, safetensorsFile(twin)),
  };
}

interface Groups {
  readonly size: number;
  /** One per weight, row by row. */
  readonly codes: Uint8Array;
  /** One per group, row by row. */
  readonly scales: Uint16Array;
  /** f16 biases, or zero points. */
  readonly offsets: Uint16Array;
  readonly values: Float32Array;
}

function quantise(weights: Float32Array, size: number, isAffine: boolean): Groups {
  const groups: Groups = {
    size,
    codes: new Uint8Array(weights.length),
    scales: new Uint16Array(weights.length / size),
    offsets: new Uint16Array(weights.length / size),
    values: new Float32Array(weights.length),
  };
  for (let group = 0; group < groups.scales.length; group++) {
    const own = weights.subarray(group * size, (group + 1) * size);
    const lowest = Math.min(0, ...own);
    groups.scales[group] = numberToF16((Math.max(0, ...own) - lowest) / 15);
    const scale = f16ToNumber(groups.scales[group]!);
    const zero = Math.round(-lowest / scale);
    groups.offsets[group] = isAffine ? numberToF16(lowest) : zero;
    const bias = f16ToNumber(groups.offsets[group]!);
    for (const [i, weight] of own.entries()) {
      const exact = isAffine ? (weight - bias) / scale : weight / scale + zero;
      const code = Math.max(0, Math.min(15, Math.round(exact)));
      groups.codes[group * size + i] = code;
      groups.values[group * size + i] = isAffine ? scale * code + bias : scale * (code - zero);
    }
  }
  return groups;
}

/** Words of eight codes: code `order[i]` of each eight in nibble i. */
function packed(codes: ArrayLike<number>, order = [0, 1, 2, 3, 4, 5, 6, 7]): Uint8Array {
  const words = new Uint32Array(codes.length / 8);
  for (let i = 0; i < codes.length; i++) {
    words[i >> 3]! |= codes[(i & ~7) + order[i & 7]!]! << (4 * (i & 7));
  }
  return bytesOf(words);
}

function transposed<T extends Uint8Array | Uint16Array>(matrix: T, rows: number): T {
  const columns = matrix.length / rows;
  const out = matrix.slice() as T;
  for (let i = 0; i < out.length; i++)
    out[i] = matrix[(i % rows) * columns + Math.floor(i / rows)]!;
  return out;
}

const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

const layouts: Record<Method, (groups: Groups, rows: number, columns: number) => Tensors> = {
  mlx: ({ size, codes, scales, offsets }, rows, columns) => ({
    weight: { dtype: "U32", shape: [rows, columns / 8], bytes: packed(codes) },
    scales: { dtype: "F16", shape: [rows, columns / size], bytes: bytesOf(scales) },
    biases: { dtype: "F16", shape: [rows, columns / size], bytes: bytesOf(offsets) },
  }),
  awq: ({ size, codes, scales, offsets }, rows, columns) => ({
    qweight: {
      dtype: "I32",
      shape: [columns, rows / 8],
      bytes: packed(transposed(codes, rows), AWQ_ORDER),
    },
    qzeros: {
      dtype: "I32",
      shape: [columns / size, rows / 8],
      bytes: packed(transposed(offsets, rows), AWQ_ORDER),
    },
    scales: {
      dtype: "F16",
      shape: [columns / size, rows],
      bytes: bytesOf(transposed(scales, rows)),
    },
  }),
  gptq: ({ size, codes, scales, offsets }, rows, columns) => {
    // Words hold eight columns of one row: those of a row lie one below the other.
    const words = new Uint32Array(packed(codes).slice().buffer);
    const down = new Uint32Array(words.length);
    for (let i = 0; i < words.length; i++) {
      down[i] = words[(i % rows) * (columns / 8) + Math.floor(i / rows)]!;
    }
    const stored = transposed(offsets, rows).map((zero) => (zero + 15) & 15);
    const order = Int32Array.from({ length: columns }, (_, i) => Math.floor(i / size));
    return {
      qweight: { dtype: "I32", shape: [columns / 8, rows], bytes: bytesOf(down) },
      qzeros: { dtype: "I32", shape: [columns / size, rows / 8], bytes: packed(stored) },
      scales: {
        dtype: "F16",
        shape: [columns / size, rows],
        bytes: bytesOf(transposed(scales, rows)),
      },
      g_idx: { dtype: "I32", shape: [columns], bytes: bytesOf(order) },
    };
  },
};
