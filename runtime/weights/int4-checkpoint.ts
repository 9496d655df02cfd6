/**
 * A safetensors checkpoint whose matrices are 4-bit groups, as MLX, AWQ or GPTQ store them: answers
 * for `X.weight` from the tensors that make it up. Owns their shapes and dtypes; hands on what is not
 * quantised.
 */

import { groupSizes } from "../../kernels/formats/int4-group.ts";
import { bringPackedFormats } from "../../kernels/packed-formats.ts";
import { WeftError } from "../errors.ts";
import {
  type Checkpoint,
  missingTensor,
  type TensorEntry,
  type WeightTensor,
} from "./checkpoint.ts";
import { storedBytes, type WeightDtype } from "./dtype.ts";
import { requireNoActOrder } from "./gptq-order.ts";
import { CODES_PER_WORD, type Int4Matrix } from "./int4-matrix.ts";
import { streamMlx } from "./mlx-groups.ts";
import type { GroupQuantisation } from "./quantisation-config.ts";
import type { Pieces, StreamOptions } from "./stream.ts";
import { streamTransposed } from "./transposed-groups.ts";

bringPackedFormats();

export class Int4Checkpoint implements Checkpoint {
  readonly #files: Checkpoint;
  readonly #quantisation: GroupQuantisation;

  constructor(files: Checkpoint, quantisation: GroupQuantisation) {
    this.#files = files;
    this.#quantisation = quantisation;
  }

  get location(): string {
    return this.#files.location;
  }

  get tensors(): ReadonlyMap<string, TensorEntry> {
    return this.#files.tensors;
  }

  has(name: string): boolean {
    return this.#files.has(name) || this.#module(name) !== undefined;
  }

  tensor(name: string, shape?: readonly number[]): WeightTensor {
    const module = this.#module(name);
    if (module === undefined) return this.#files.tensor(name, shape);
    const { method } = this.#quantisation;
    return method === "mlx" ? this.#mlx(module, shape) : this.#transposed(module, method, shape);
  }

  close(): Promise<void> {
    return this.#files.close();
  }

  /** X, where X.weight is quantised. */
  #module(name: string): string | undefined {
    if (!name.endsWith(".weight")) return undefined;
    const module = name.slice(0, -".weight".length);
    const sign = this.#quantisation.method === "mlx" ? "scales" : "qweight";
    return this.tensors.has(`${module}.${sign}`) ? module : undefined;
  }

  #mlx(module: string, shape: readonly number[] | undefined): WeightTensor {
    const codes = this.#part(module, "weight", ["U32"]);
    const scales = this.#part(module, "scales", ["F16", "BF16", "F32"]);
    const biases = this.#part(module, "biases", [scales.dtype]);
    const matrix = this.#matrix(module, shape ?? [codes.shape[0], codes.shape[1] * CODES_PER_WORD]);
    const { rows, columns, groupColumns } = matrix;
    requireShape(codes, [rows, columns / CODES_PER_WORD]);
    requireShape(scales, [rows, columns / groupColumns]);
    requireShape(biases, [rows, columns / groupColumns]);
    const hasFloat32Scales = scales.dtype === "F32";
    const dtype = hasFloat32Scales ? "f32" : blockFormat("affine4", scales, matrix);
    return grouped(codes, matrix, dtype, (options) =>
      streamMlx({ ...matrix, codes, scales, biases, hasFloat32Scales }, options),
    );
  }

  #transposed(
    module: string,
    method: "awq" | "gptq",
    shape: readonly number[] | undefined,
  ): WeightTensor {
    const qweight = this.#part(module, "qweight", ["I32"]);
    const qzeros = this.#part(module, "qzeros", ["I32"]);
    const scales = this.#part(module, "scales", ["F16", "BF16"]);
    const [down, across] = qweight.shape;
    const stored =
      method === "awq" ? [across * CODES_PER_WORD, down] : [across, down * CODES_PER_WORD];
    const matrix = this.#matrix(module, shape ?? stored);
    const { rows, columns, groupColumns } = matrix;
    const numGroups = columns / groupColumns;
    const perWord = (count: number) => count / CODES_PER_WORD;
    requireShape(qweight, method === "awq" ? [columns, perWord(rows)] : [perWord(columns), rows]);
    requireShape(qzeros, [numGroups, perWord(rows)]);
    requireShape(scales, [numGroups, rows]);
    const { zeroPointShift } = this.#quantisation;
    const parts = { ...matrix, method, qweight, qzeros, scales, zeroPointShift };
    const dtype = blockFormat("zeropoint4", scales, matrix);
    if (method === "awq" || !this.tensors.has(`${module}.g_idx`)) {
      return grouped(qweight, matrix, dtype, (options) => streamTransposed(parts, options));
    }
    const order = this.#part(module, "g_idx", ["I32"]);
    requireShape(order, [columns]);
    return grouped(qweight, matrix, dtype, async function* (options) {
      await requireNoActOrder(order, groupColumns, options.signal);
      yield* streamTransposed(parts, options);
    });
  }

  /** @throws {WeftError} `missing_tensor`, `unsupported_dtype`. */
  #part(module: string, part: string, dtypes: readonly string[]): TensorEntry {
    const entry = this.tensors.get(`${module}.${part}`);
    if (!entry) throw missingTensor(`${module}.${part}`, this);
    if (dtypes.includes(entry.dtype)) return entry;
    throw new WeftError(
      "unsupported_dtype",
      `tensor ${entry.name} in ${entry.source.name} is ${entry.dtype}, ${this.#quantisation.method} ` +
        `with 4 bits has ${dtypes.join(" or ")}; take the model from another publisher, or unquantised`,
    );
  }

  /** @throws {WeftError} `unsupported_dtype` where groups do not divide the columns. */
  #matrix(module: string, shape: readonly number[]): Int4Matrix {
    const [rows, columns] = shape;
    const { moduleGroupSizes, groupSize } = this.#quantisation;
    const wanted = moduleGroupSizes.get(module) ?? groupSize;
    const groupColumns = wanted === -1 ? columns : wanted;
    const blockColumns = groupSizes.findLast((size) => groupColumns % size === 0);
    if (shape.length === 2 && blockColumns && columns > 0 && columns % groupColumns === 0) {
      return { rows, columns, groupColumns, blockColumns };
    }
    throw new WeftError(
      "unsupported_dtype",
      `${module} in ${this.location} has shape [${shape}] in groups of ${wanted} columns; groups of ` +
        `a multiple of ${groupSizes[0]} that divide its columns are supported: take the model in ` +
        "another quantisation",
    );
  }
}

function blockFormat(
  prefix: "affine4" | "zeropoint4",
  scales: TensorEntry,
  matrix: Int4Matrix,
): WeightDtype {
  const type = scales.dtype === "F16" ? "f16" : "bf16";
  return `${prefix}_${type}_g${matrix.blockColumns}`;
}

const grouped = (
  { name, source, offset }: TensorEntry,
  { rows, columns }: Int4Matrix,
  dtype: WeightDtype,
  pieces: (options: StreamOptions) => Pieces,
): WeightTensor => {
  const byteLength = rows * storedBytes(dtype, columns);
  return { name, source, offset, shape: [rows, columns], dtype, byteLength, pieces };
};

function requireShape({ name, source, shape }: TensorEntry, wanted: readonly number[]): void {
  if (shape.join() === wanted.join()) return;
  throw new WeftError(
    "bad_safetensors",
    `tensor ${name} in ${source.name} has shape [${shape}], config.json asks for [${wanted}]; the ` +
      "weights do not belong to this config.json",
  );
}
