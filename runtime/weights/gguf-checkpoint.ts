/**
 * The tensors of a GGUF file by Hugging Face names. Owns how the converter has changed them: which rows
 * are reordered, which gates and values lie apart, which norms have 1 added. Refuses a type when that
 * tensor is asked for, not before.
 */
import { WeftError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import {
  type Checkpoint,
  type CheckpointFormat,
  missingTensor,
  type TensorEntry,
  type WeightTensor,
  weightTensor,
} from "./checkpoint.ts";
import type { GgufHeader } from "./gguf-header.ts";
import { widened } from "./gguf-mxfp4.ts";
import { ggufNames, isQueryOrKey } from "./gguf-names.ts";
import { paired } from "./gguf-pairs.ts";
import { GGUF_DTYPES } from "./gguf-types.ts";

const FORMAT: CheckpointFormat = { dtypes: GGUF_DTYPES, badFile: "bad_gguf" };

/** What an architecture's converter does to tensors. */
export interface GgufLayout {
  readonly architecture: string;
  /** Of query and key heads; given where their halves are interleaved. */
  readonly interleavedHeadSize?: number;
  /** Norms are stored as 1 + w. */
  readonly normsHaveOne?: boolean;
}

export class GgufCheckpoint implements Checkpoint {
  readonly location: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly #source: ByteSource;
  readonly #layout: GgufLayout;

  constructor({ name, tensors }: GgufHeader, source: ByteSource, layout: GgufLayout) {
    this.location = name;
    this.tensors = new Map(
      [...tensors].map(([key, { type, ...place }]) => [
        key,
        { ...place, source, dtype: type.name },
      ]),
    );
    this.#source = source;
    this.#layout = layout;
  }

  has(name: string): boolean {
    return this.#names(name).every((own) => this.tensors.has(own));
  }

  tensor(name: string, shape?: readonly number[]): WeightTensor {
    const [own, values] = this.#names(name);
    if (values !== undefined) return this.#pair(own, values, shape);
    const tensor = this.#stored(own, shape);
    const { interleavedHeadSize: headSize, normsHaveOne } = this.#layout;
    if (headSize !== undefined && isQueryOrKey(name)) return { ...tensor, rowOrder: { headSize } };
    return normsHaveOne && name.endsWith("norm.weight") ? { ...tensor, added: 1 } : tensor;
  }

  async close(): Promise<void> {
    await this.#source.close?.();
  }

  #names(name: string): readonly string[] {
    return ggufNames(name, this.#layout.architecture);
  }

  /** Experts are a dimension more, gates and values half of the one behind it, or of the first. */
  #pair(gates: string, values: string, shape: readonly number[] | undefined): WeightTensor {
    const axis = gates.includes("_exps.") ? 1 : 0;
    const scaled = (sizes: readonly number[], factor: number) =>
      sizes.map((size, i) => (i === axis ? size * factor : size));
    const first = this.#stored(gates, shape && scaled(shape, 1 / 2));
    const second = this.#stored(values, first.shape);
    if (second.dtype !== first.dtype) {
      throw new WeftError(
        "unsupported_dtype",
        `tensors ${gates} and ${values} in ${this.location} are ${first.dtype} and ${second.dtype}; ` +
          "gates and values of one type are supported: take the model in another quantisation",
      );
    }
    return paired(gates, [first, second], scaled(first.shape, 2), axis === 1 ? first.shape[0] : 1);
  }

  #stored(name: string, shape: readonly number[] | undefined): WeightTensor {
    const entry = this.tensors.get(name);
    if (!entry) throw missingTensor(name, this);
    // ggml leaves dimensions of 1 out: of convolutions over one channel each, of a gate's one row.
    const isSame = shape && withoutOnes(shape).join() === withoutOnes(entry.shape).join();
    const tensor = weightTensor(isSame ? { ...entry, shape } : entry, shape, FORMAT);
    return tensor.dtype === "mxfp4" ? widened(tensor) : tensor;
  }
}

const withoutOnes = (shape: readonly number[]): number[] => shape.filter((size) => size !== 1);
