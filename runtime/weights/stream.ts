/**
 * A tensor's bytes in pieces, one piece ahead of the consumer. Owns the memory bound of loading: two
 * pieces at a time, whatever the size of the tensor.
 */
import type { ByteSource, Bytes } from "./byte-source.ts";
import { storedBytes, toFloat32, type WeightDtype } from "./dtype.ts";
import type { ProgressMeter } from "./progress.ts";

export { type LoadProgress, ProgressMeter } from "./progress.ts";

/** A multiple of every element size, so no element is cut in two. */
export const PIECE_BYTES = 8 * 1024 * 1024;

export interface StreamOptions {
  /** Part of the tensor, in bytes from its start; all of it when left out. */
  readonly from?: number;
  readonly to?: number;
  /** At most; `PIECE_BYTES` when left out. */
  readonly pieceBytes?: number;
  readonly signal?: AbortSignal;
  readonly meter?: ProgressMeter;
}

export interface Piece {
  /** From the start of the tensor. */
  readonly offset: number;
  readonly bytes: Bytes;
}

export type Pieces = AsyncGenerator<Piece, void, undefined>;

/** Where bytes lie in a file. */
export interface FileSpan {
  readonly source: ByteSource;
  readonly offset: number;
  readonly byteLength: number;
}

export interface TensorSpan extends FileSpan {
  /**
   * Makes the tensor's bytes, where the file has them in another form: pieces of whole rows, in order.
   * `from` and `to`, at whole rows, are given for stacks of experts alone; offsets count from there.
   */
  readonly pieces?: (options: StreamOptions) => Pieces;
}

/**
 * Pieces in order, each of `pieceBytes` but for the last. Leaving the loop early cancels the read ahead.
 * @throws {WeftError} what `ByteSource.read` throws.
 */
export const streamTensor = (tensor: TensorSpan, options: StreamOptions = {}): Pieces =>
  tensor.pieces?.(options) ?? streamSpan(tensor, options);

/** As `streamTensor`, whatever the bytes are. */
export async function* streamSpan(
  tensor: FileSpan,
  { from = 0, to = tensor.byteLength, pieceBytes = PIECE_BYTES, signal, meter }: StreamOptions = {},
): Pieces {
  const { source } = tensor;
  const left = new AbortController();
  const either = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
  const read = (offset: number): Promise<Bytes> | undefined => {
    if (offset >= to) return undefined;
    const length = Math.min(pieceBytes, to - offset);
    const reading = source.read(tensor.offset + offset, length, either);
    // Its failure is reported when the piece is taken; until then nobody awaits it.
    reading.catch(() => {});
    return reading;
  };
  try {
    let next = read(from);
    for (let offset = from; next; offset += pieceBytes) {
      const bytes = await next;
      next = read(offset + pieceBytes);
      meter?.add(bytes.byteLength, source.name);
      yield { offset, bytes };
    }
  } finally {
    left.abort();
  }
}

/** A whole tensor as float32, for small ones: norm weights and biases. */
export async function readFloat32(
  tensor: TensorSpan & { readonly dtype: WeightDtype },
  options: Omit<StreamOptions, "from" | "to"> = {},
): Promise<Float32Array<ArrayBuffer>> {
  const elementBytes = storedBytes(tensor.dtype, 1);
  const values = new Float32Array(tensor.byteLength / elementBytes);
  for await (const { offset, bytes } of streamTensor(tensor, options)) {
    values.set(toFloat32(bytes, tensor.dtype), offset / elementBytes);
  }
  return values;
}
