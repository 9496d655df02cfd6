/**
 * What the loader knows of a model's weights, whatever the format of their files: tensors by the
 * names of Hugging Face checkpoints. Owns how a missing tensor, a dtype that the engine does not
 * compute with, and a wrong shape are refused.
 */
import { WeftError, type WeftErrorCode } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import type { WeightDtype } from "./dtype.ts";
import type { RowOrder } from "./row-order.ts";
import type { TensorSpan } from "./stream.ts";

/** Where one tensor lies. Nothing here says that the engine can compute with its dtype. */
export interface TensorEntry {
  /** As the file says, which in GGUF is not the name it is asked for by. */
  readonly name: string;
  /** As the file says, e.g. `BF16`. */
  readonly dtype: string;
  /** Rows before columns. */
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** From the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A tensor that the engine can compute with. */
export interface WeightTensor extends Omit<TensorEntry, "dtype">, TensorSpan {
  readonly dtype: WeightDtype;
  /** How the file orders the rows, where that is not Hugging Face's order. */
  readonly rowOrder?: RowOrder;
  /** Gates lie above their values, also where Hugging Face's files have them alternate. */
  readonly separated?: boolean;
  /** What the file has added to each value of Hugging Face's. */
  readonly added?: number;
}

export interface Checkpoint {
  /** Folder or file, for messages. */
  readonly location: string;
  /** All that the files hold, by the files' own names. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  has(name: string): boolean;
  /**
   * @param name As in models/weights.ts.
   * @param shape Refused if the file has another; any when left out.
   * @throws {WeftError} `missing_tensor`, `unsupported_dtype`, `bad_safetensors` or `bad_gguf` (shape).
   */
  tensor(name: string, shape?: readonly number[]): WeightTensor;
  close(): Promise<void>;
}

export function missingTensor(name: string, { location, tensors }: Checkpoint): WeftError {
  return new WeftError(
    "missing_tensor",
    `${location} has no tensor ${name} among its ${tensors.size}; the weights do not belong to ` +
      "this configuration, or a part of them is missing",
  );
}

/** What the formats of files differ in once their headers are read. */
export interface CheckpointFormat {
  /** The engine's name of each type it computes with, by the file's name. */
  readonly dtypes: ReadonlyMap<string, WeightDtype>;
  readonly badFile: WeftErrorCode;
}

/** @throws {WeftError} `unsupported_dtype`, or `badFile` for another shape than asked for. */
export function weightTensor(
  entry: TensorEntry,
  shape: readonly number[] | undefined,
  { dtypes, badFile }: CheckpointFormat,
): WeightTensor {
  const { name, source } = entry;
  const dtype = dtypes.get(entry.dtype);
  if (!dtype) {
    throw new WeftError(
      "unsupported_dtype",
      `tensor ${name} in ${source.name} is ${entry.dtype}; ${[...dtypes.keys()].join(", ")} are ` +
        "supported: convert the weights, or take the model in one of these",
    );
  }
  if (shape && shape.join() !== entry.shape.join()) {
    throw new WeftError(
      badFile,
      `tensor ${name} in ${source.name} has shape [${entry.shape}], config.json asks for ` +
        `[${shape}]; the weights do not belong to this config.json`,
    );
  }
  return { ...entry, dtype };
}
