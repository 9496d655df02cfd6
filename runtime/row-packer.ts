/**
 * Packs stored rows into matrices on the device: pieces of tensors through one staging buffer, each piece
 * repacked by a kernel to where its rows belong. Owns the memory bound of what waits in the queue.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { repack } from "../kernels/repack.ts";
import { weightFormats } from "../kernels/weight-format.ts";
import type { WeightShard } from "../models/weights.ts";
import { alignUp, type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";
import { WeftError } from "./errors.ts";
import type { PlacedWeight, WeightRun } from "./placed-weight.ts";
import { storedBytes, toFloat32, type WeightDtype } from "./weights/dtype.ts";
import { PIECE_BYTES, type StreamOptions, streamTensor } from "./weights/stream.ts";

/** Bytes handed to the queue before the packer waits for it: the staging memory's bound. */
const MAX_QUEUED_BYTES = 32 * 1024 * 1024;

/** Rows of a matrix that follow one another, and where they lie in a shard. */
export interface ShardPlace {
  readonly shard: WeightShard;
  readonly matrixRow: number;
  readonly shardRow: number;
  readonly rows: number;
}

export class RowPacker {
  readonly #device: Device;
  /** A piece of a file, on its way into a matrix. Later pieces wait in the queue behind its reader. */
  readonly #staging: DeviceBuffer;
  /** Bind groups are cached on these. */
  readonly #buffers = new Map<BufferSlice, KernelCall["buffers"]>();
  #queuedBytes = 0;

  private constructor(device: Device, staging: DeviceBuffer) {
    this.#device = device;
    this.#staging = staging;
  }

  static async create(device: Device, formats: ReadonlySet<WeightDtype>): Promise<RowPacker> {
    await device.prepare([...formats].map((name) => ({ kernel: repack(name), constants: {} })));
    return new RowPacker(device, await device.createBuffer("weight_staging", PIECE_BYTES));
  }

  close(): void {
    this.#device.destroyBuffer(this.#staging);
  }

  /** Rows that belong to none of the places are left out. */
  async pack(
    pieces: AsyncIterable<StagedPiece> | Iterable<StagedPiece>,
    places: readonly ShardPlace[],
  ): Promise<void> {
    for await (const piece of pieces) {
      this.#device.write(this.#staging, 0, piece.bytes);
      this.#device.record(this.#calls(places, piece));
      this.#device.submit();
      await this.#queued(piece.bytes.byteLength);
    }
  }

  /** One call per place that some of the rows belong to. */
  *#calls(
    places: readonly ShardPlace[],
    { columns, tensorRow, firstRow, rows, headSize }: StagedPiece,
  ): Iterable<KernelCall> {
    for (const { shard, matrixRow, shardRow, rows: placeRows } of places) {
      const from = Math.max(tensorRow + firstRow, matrixRow);
      const to = Math.min(tensorRow + firstRow + rows, matrixRow + placeRows);
      if (from >= to) continue;
      const dims = {
        N: shard.rows,
        K: columns,
        rows: to - from,
        words: PIECE_BYTES / 4,
        from_row: from - tensorRow - firstRow,
        first_row: from - tensorRow,
        to_row: tensorRow - matrixRow + shardRow,
        head_size: headSize,
      };
      yield { kernel: repack(shard.format), buffers: this.#bound(shard.slice), dims };
    }
  }

  #bound(out: BufferSlice): KernelCall["buffers"] {
    let buffers = this.#buffers.get(out);
    if (!buffers) {
      buffers = { blocks: wholeBuffer(this.#staging), out };
      this.#buffers.set(out, buffers);
    }
    return buffers;
  }

  async #queued(bytes: number): Promise<void> {
    this.#queuedBytes += bytes;
    if (this.#queuedBytes < MAX_QUEUED_BYTES) return;
    await this.#device.idle();
    this.#queuedBytes = 0;
  }
}

/** Rows as they go into the staging buffer, in the format of their matrix. */
export interface StagedPiece {
  readonly bytes: Uint8Array;
  readonly columns: number;
  /** Row of the matrix where the tensor begins. */
  readonly tensorRow: number;
  /** Row of the tensor that lies first in the staging buffer. */
  readonly firstRow: number;
  readonly rows: number;
  /** H where the file's rows alternate between the halves of a head; else 0. */
  readonly headSize: number;
}

/** All tensors of a run in pieces that the staging buffer holds, two of them in memory at a time. */
export async function* stagedPieces(
  { spec: { name, columns } }: PlacedWeight,
  { format, firstRow, tensors }: WeightRun,
  options: Pick<StreamOptions, "signal" | "meter"> = {},
): AsyncGenerator<StagedPiece, void, undefined> {
  const stagedRowBytes = storedBytes(format, columns);
  let tensorRow = firstRow;
  for (const tensor of tensors) {
    const rowBytes = storedBytes(tensor.dtype, columns);
    const rowsPerPiece = Math.floor(PIECE_BYTES / Math.max(rowBytes, stagedRowBytes));
    if (rowsPerPiece === 0) throw rowTooLong(name, rowBytes);
    const pieceBytes = rowsPerPiece * rowBytes;
    for await (const { offset, bytes } of streamTensor(tensor, { ...options, pieceBytes })) {
      yield {
        ...{ columns, tensorRow, firstRow: offset / rowBytes, rows: bytes.byteLength / rowBytes },
        bytes: padded(converted(bytes, tensor.dtype, format)),
        headSize: tensor.rowOrder?.headSize ?? 0,
      };
    }
    tensorRow += tensor.shape[0];
  }
}

/** Only the very last bytes of a piece can be an odd half word. */
function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength % 4 === 0) return bytes;
  const whole = new Uint8Array(alignUp(bytes.byteLength, 4));
  whole.set(bytes);
  return whole;
}

const rowTooLong = (name: string, rowBytes: number): WeftError =>
  new WeftError(
    "limit_exceeded",
    `a row of weight ${name} has ${rowBytes} bytes, ${PIECE_BYTES} are loaded at a time; ` +
      "this model is not supported",
  );

const converted = (bytes: Uint8Array, from: WeightDtype, to: WeightDtype): Uint8Array =>
  from === to ? bytes : weightFormats[to].encode(toFloat32(bytes, from));
