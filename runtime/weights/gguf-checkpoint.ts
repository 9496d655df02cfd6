/**
 * The tensors of a GGUF file by Hugging Face names. Owns which rows the converter has reordered.
 * Refuses a type when that tensor is asked for, not before.
 */
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
import { ggufName, isQueryOrKey } from "./gguf-names.ts";
import { GGUF_DTYPES } from "./gguf-types.ts";

const FORMAT: CheckpointFormat = { dtypes: GGUF_DTYPES, badFile: "bad_gguf" };

export interface GgufCheckpointOptions {
  /** Of query and key heads; given where the architecture's converter interleaves their halves. */
  readonly interleavedHeadSize: number | undefined;
}

export class GgufCheckpoint implements Checkpoint {
  readonly location: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly #source: ByteSource;
  readonly #interleavedHeadSize: number | undefined;

  constructor(
    { name, tensors }: GgufHeader,
    source: ByteSource,
    { interleavedHeadSize }: GgufCheckpointOptions,
  ) {
    this.location = name;
    this.tensors = new Map(
      [...tensors].map(([key, { type, ...place }]) => [
        key,
        { ...place, source, dtype: type.name },
      ]),
    );
    this.#source = source;
    this.#interleavedHeadSize = interleavedHeadSize;
  }

  has(name: string): boolean {
    return this.tensors.has(ggufName(name));
  }

  tensor(name: string, shape?: readonly number[]): WeightTensor {
    const entry = this.tensors.get(ggufName(name));
    if (!entry) throw missingTensor(ggufName(name), this);
    // Convolutions over one channel each: ggml leaves the dimension out.
    const stored = shape?.length === 3 && shape[1] === 1 ? [shape[0], shape[2]] : shape;
    const tensor = weightTensor(entry, stored, FORMAT);
    const headSize = this.#interleavedHeadSize;
    return headSize !== undefined && isQueryOrKey(name)
      ? { ...tensor, rowOrder: { headSize } }
      : tensor;
  }

  async close(): Promise<void> {
    await this.#source.close?.();
  }
}
