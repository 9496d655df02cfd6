/**
 * Where a model's weights come from, from headers alone: which tensors make each matrix, in which
 * formats. Reads no weights and makes no buffer.
 */
import { packedBytes } from "../kernels/packed-matrix.ts";
import { weightFormats } from "../kernels/weight-format.ts";
import type { WeightPart, WeightSpec } from "../models/weights.ts";
import { WeftError } from "./errors.ts";
import type { Checkpoint, WeightTensor } from "./weights/checkpoint.ts";
import type { WeightDtype } from "./weights/dtype.ts";

/** Tensors one below the other, of one format. */
export interface WeightRun {
  readonly format: WeightDtype;
  /** In the matrix. */
  readonly firstRow: number;
  readonly rows: number;
  readonly tensors: readonly WeightTensor[];
  /** On the device. */
  readonly sizeBytes: number;
}

export interface PlacedWeight {
  readonly spec: WeightSpec;
  /** One, unless the tensors of a fused matrix differ in format. */
  readonly runs: readonly WeightRun[];
}

/**
 * Looks every tensor up before a byte is read or a buffer made.
 * @throws {WeftError} `missing_tensor`, `unsupported_dtype`, `bad_safetensors` for a wrong shape.
 */
export function placeWeights(
  specs: readonly WeightSpec[],
  checkpoint: Checkpoint,
  quant?: Quant,
): PlacedWeight[] {
  return specs.map((spec) => {
    const isWhole = spec.whole !== undefined && checkpoint.has(spec.whole.tensor);
    const parts = isWhole ? [spec.whole!] : spec.parts;
    const tensors = parts.map((part) => inRows(checkpoint.tensor(part.tensor, part.shape), part));
    if (spec.vector) return { spec, runs: [vectorRun(spec, tensors)] };
    for (const tensor of tensors) checkBlocks(tensor, spec.columns);
    const runs = formatRuns(spec, tensors, (tensor) => formatOf(tensor, spec, quant));
    // A gate and its value are multiplied together, and a stack by one kernel: in one format.
    const mixed = (spec.gated || spec.stacked > 1) && runs.length > 1;
    return { spec, runs: mixed ? [matrixRun(spec, tensors, 0, "f32")] : runs };
  });
}

/** A stack of matrices as rows one below the other, as it lies in the file. */
function inRows(tensor: WeightTensor, { alternating }: WeightPart): WeightTensor {
  const { shape } = tensor;
  const alternates = alternating && !tensor.separated;
  const rowOrder = alternates ? { headSize: alternating } : tensor.rowOrder;
  return {
    ...{ ...tensor, rowOrder },
    shape: shape.length < 3 ? shape : [shape[0] * shape[1], shape[2]],
  };
}

/** Weights that are quantised while they are loaded; quantised ones stay as they are. */
export type Quant = "q8" | "q4";

/** The vocabulary's matrices decide between near ties, and are read row by row: they keep 8 bits. */
function formatOf(
  { dtype }: WeightTensor,
  { vocabulary, exact }: WeightSpec,
  quant?: Quant,
): WeightDtype {
  if (quant === undefined || exact || weightFormats[dtype].block.weights > 1) return dtype;
  return quant === "q4" && !vocabulary ? "q4_0" : "q8_0";
}

export const placedBytes = ({ runs }: PlacedWeight): number =>
  runs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/** Of matrices. */
export const formatsOf = (weights: readonly PlacedWeight[]): WeightDtype[] => {
  const matrices = weights.filter(({ spec }) => !spec.vector);
  return [...new Set(matrices.flatMap(({ runs }) => runs.map(({ format }) => format)))];
};

/** Parameters of a model, as its publisher counts them: tied matrices once. */
export const countWeights = (placed: readonly PlacedWeight[]): number =>
  placed.reduce((sum, { spec }) => sum + spec.rows * spec.columns, 0);

function formatRuns(
  spec: WeightSpec,
  tensors: readonly WeightTensor[],
  formatOf: (tensor: WeightTensor) => WeightDtype,
): WeightRun[] {
  const runs: WeightRun[] = [];
  let firstRow = 0;
  let from = 0;
  for (let to = 1; to <= tensors.length; to++) {
    const format = formatOf(tensors[from]);
    if (to < tensors.length && formatOf(tensors[to]) === format) continue;
    const run = matrixRun(spec, tensors.slice(from, to), firstRow, format);
    runs.push(run);
    firstRow += run.rows;
    from = to;
  }
  return runs;
}

function matrixRun(
  { columns }: WeightSpec,
  tensors: readonly WeightTensor[],
  firstRow: number,
  format: WeightDtype,
): WeightRun {
  const rows = tensors.reduce((sum, { shape }) => sum + shape[0], 0);
  const sizeBytes = packedBytes(weightFormats[format], rows, columns);
  return { format, firstRow, rows, tensors, sizeBytes };
}

const vectorRun = ({ columns }: WeightSpec, tensors: readonly WeightTensor[]): WeightRun => ({
  format: "f32",
  firstRow: 0,
  rows: 1,
  tensors,
  sizeBytes: 4 * columns,
});

/** A row must be whole blocks: formats know no rows that begin inside one. */
function checkBlocks({ name, dtype, source }: WeightTensor, columns: number): void {
  const { weights } = weightFormats[dtype].block;
  if (columns % weights === 0) return;
  throw new WeftError(
    "unsupported_dtype",
    `tensor ${name} in ${source.name} is ${dtype} with ${columns} columns, ${dtype} has blocks of ` +
      `${weights}; take the model in another quantisation`,
  );
}
