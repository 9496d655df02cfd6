/**
 * Streams a checkpoint's tensors into device buffers, piece by piece: host memory holds two pieces at
 * a time, whatever the size of tensor or shard. Matrices keep their stored type, unless they are to be
 * quantised, and are packed on the device; vectors become f32.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { packedBytes } from "../kernels/packed-matrix.ts";
import { repack } from "../kernels/repack.ts";
import { weightFormats } from "../kernels/weight-format.ts";
import type { Weight, WeightShard, WeightSpec } from "../models/weights.ts";
import { alignUp, type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";
import { WeftError } from "./errors.ts";
import type { PlacedWeight, WeightRun } from "./placed-weight.ts";
import type { WeightTensor } from "./weights/checkpoint.ts";
import { storedBytes, toFloat32, type WeightDtype } from "./weights/dtype.ts";
import { inOrder } from "./weights/row-order.ts";
import {
  type LoadProgress,
  PIECE_BYTES,
  ProgressMeter,
  readFloat32,
  streamTensor,
} from "./weights/stream.ts";

/** Bytes handed to the queue before the loader waits for it: the staging memory's bound. */
const MAX_QUEUED_BYTES = 32 * 1024 * 1024;

export interface LoadWeightsOptions {
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/** @throws {WeftError} `out_of_memory`, `limit_exceeded`, and what reading throws. */
export async function loadWeights(
  device: Device,
  placed: readonly PlacedWeight[],
  options: LoadWeightsOptions,
): Promise<Map<string, Weight>> {
  const loader = await WeightLoader.create(device, placed, options);
  const weights = new Map<string, Weight>();
  try {
    for (const weight of placed) {
      const { spec, runs } = weight;
      const { rows, columns } = spec;
      const shards: WeightShard[] = [];
      for (const run of runs) {
        shards.push(
          ...(spec.vector ? [await loader.vector(weight)] : await loader.matrix(weight, run)),
        );
      }
      weights.set(spec.name, { rows, columns, shards });
    }
    await device.idle();
  } finally {
    loader.close();
  }
  return weights;
}

/** Rows of a run that one binding holds. @throws {WeftError} `limit_exceeded` where not even one does. */
export function maxShardRows(device: Device, { spec }: PlacedWeight, run: WeightRun): number {
  const { name, columns, vector, gated } = spec;
  const rowBytes = vector ? 4 * columns : packedBytes(weightFormats[run.format], 1, columns);
  const unit = gated ? 2 * spec.unit : spec.unit;
  const { maxBindingBytes, maxBufferBytes } = device.info.limits;
  const maxRows = Math.floor(Math.min(maxBindingBytes, maxBufferBytes) / rowBytes);
  if (maxRows >= unit) return maxRows - (maxRows % unit);
  throw new WeftError(
    "limit_exceeded",
    `${unit === 1 ? "a row" : `${unit} rows`} of weight ${name} need ${unit * rowBytes} bytes in one ` +
      `binding, this adapter allows ${maxBindingBytes}; use an adapter with larger bindings or a ` +
      "smaller model",
  );
}

class WeightLoader {
  readonly #device: Device;
  readonly #meter: ProgressMeter;
  readonly #signal: AbortSignal | undefined;
  /** A piece of a file, on its way into a matrix. Later pieces wait in the queue behind its reader. */
  readonly #staging: DeviceBuffer;
  #queuedBytes = 0;

  private constructor(
    device: Device,
    staging: DeviceBuffer,
    meter: ProgressMeter,
    signal: AbortSignal | undefined,
  ) {
    this.#device = device;
    this.#staging = staging;
    this.#meter = meter;
    this.#signal = signal;
  }

  static async create(
    device: Device,
    placed: readonly PlacedWeight[],
    { onProgress, signal }: LoadWeightsOptions,
  ): Promise<WeightLoader> {
    const tensors = placed.flatMap(({ runs }) => runs.flatMap((run) => run.tensors));
    const totalBytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const matrices = placed.filter(({ spec }) => !spec.vector).flatMap(({ runs }) => runs);
    const formats = new Set(matrices.map(({ format }) => format));
    await device.prepare([...formats].map((name) => ({ kernel: repack(name), constants: {} })));
    const staging = await device.createBuffer("weight_staging", PIECE_BYTES);
    return new WeightLoader(device, staging, new ProgressMeter(totalBytes, onProgress), signal);
  }

  close(): void {
    this.#device.destroyBuffer(this.#staging);
  }

  async vector({ spec, runs: [run] }: PlacedWeight): Promise<WeightShard> {
    const buffer = await this.#device.createBuffer(spec.name, run.sizeBytes);
    let at = 0;
    for (const tensor of run.tensors) {
      const options = { signal: this.#signal, meter: this.#meter };
      const stored = inOrder(await readFloat32(tensor, options), tensor.rowOrder);
      const { offset } = spec;
      const values = offset === undefined ? stored : stored.map((value) => value + offset);
      this.#device.write(buffer, at, values);
      at += values.byteLength;
    }
    return { slice: wholeBuffer(buffer), format: run.format, firstRow: 0, rows: 1 };
  }

  async matrix(weight: PlacedWeight, run: WeightRun): Promise<WeightShard[]> {
    const { name, columns } = weight.spec;
    const shards = await this.#allocate(weight, run);
    const pieces = shards.flatMap((shard) => {
      // Bind groups are cached on these.
      const buffers = { blocks: wholeBuffer(this.#staging), out: shard.slice };
      return placesOf(shard, weight.spec).map((place) => ({ ...place, shard, buffers }));
    });
    const stagedRowBytes = storedBytes(run.format, columns);
    let tensorRow = run.firstRow;
    for (const tensor of run.tensors) {
      const rowBytes = storedBytes(tensor.dtype, columns);
      const rowsPerPiece = Math.floor(PIECE_BYTES / Math.max(rowBytes, stagedRowBytes));
      if (rowsPerPiece === 0) throw rowTooLong(name, rowBytes);
      for await (const { offset, bytes } of this.#pieces(tensor, rowsPerPiece * rowBytes)) {
        const stored = converted(bytes, tensor.dtype, run.format);
        this.#device.write(this.#staging, 0, padded(stored));
        const piece = {
          columns,
          tensorRow,
          firstRow: offset / rowBytes,
          rows: bytes.byteLength / rowBytes,
          headSize: tensor.rowOrder?.headSize ?? 0,
        };
        this.#device.record(repackCalls(pieces, piece));
        this.#device.submit();
        await this.#queued(stored.byteLength);
      }
      tensorRow += tensor.shape[0];
    }
    return shards;
  }

  async #allocate(weight: PlacedWeight, run: WeightRun): Promise<WeightShard[]> {
    const { name, columns } = weight.spec;
    const { format } = run;
    const maxRows = maxShardRows(this.#device, weight, run);
    const perOutput = weight.spec.gated ? 2 : 1;
    const shards: WeightShard[] = [];
    for (let from = 0; from < run.rows; from += maxRows) {
      const rows = Math.min(maxRows, run.rows - from);
      const firstRow = run.firstRow + from / perOutput;
      const sizeBytes = packedBytes(weightFormats[format], rows, columns);
      const buffer = await this.#device.createBuffer(`${name}#${firstRow}`, sizeBytes);
      shards.push({ slice: wholeBuffer(buffer), format, firstRow, rows });
    }
    return shards;
  }

  #pieces(tensor: WeightTensor, pieceBytes?: number) {
    return streamTensor(tensor, { pieceBytes, signal: this.#signal, meter: this.#meter });
  }

  async #queued(bytes: number): Promise<void> {
    this.#queuedBytes += bytes;
    if (this.#queuedBytes < MAX_QUEUED_BYTES) return;
    await this.#device.idle();
    this.#queuedBytes = 0;
  }
}

interface StagedRows {
  readonly columns: number;
  /** Row of the matrix where the tensor begins. */
  readonly tensorRow: number;
  /** Row of the tensor that lies first in the staging buffer. */
  readonly firstRow: number;
  readonly rows: number;
  /** H where the file's rows alternate between the halves of a head; else 0. */
  readonly headSize: number;
}

/** Rows of a matrix that follow one another, and where they lie in a shard. */
interface ShardPlace {
  readonly matrixRow: number;
  readonly shardRow: number;
  readonly rows: number;
}

/** A gated shard has the gates of its outputs, and below them their values, half a matrix further on. */
function placesOf({ firstRow, rows }: WeightShard, spec: WeightSpec): ShardPlace[] {
  if (!spec.gated) return [{ matrixRow: firstRow, shardRow: 0, rows }];
  const outputs = rows / 2;
  return [
    { matrixRow: firstRow, shardRow: 0, rows: outputs },
    { matrixRow: spec.rows / 2 + firstRow, shardRow: outputs, rows: outputs },
  ];
}

interface BoundPlace extends ShardPlace {
  readonly shard: WeightShard;
  readonly buffers: Readonly<Record<"blocks" | "out", BufferSlice>>;
}

/** One call per place that some of the rows belong to. */
function* repackCalls(
  places: readonly BoundPlace[],
  { columns, tensorRow, firstRow, rows, headSize }: StagedRows,
): Iterable<KernelCall> {
  for (const { shard, buffers, matrixRow, shardRow, rows: placeRows } of places) {
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
    yield { kernel: repack(shard.format), buffers, dims };
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
