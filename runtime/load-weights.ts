/**
 * Places a checkpoint's tensors in device buffers, piece by piece: host memory holds two pieces at a
 * time, whatever the size of tensor or shard. Matrices keep their stored type; vectors become f32.
 */
import type { WeightFormatName } from "../kernels/weight-format.ts";
import type { Weight, WeightShard, WeightSpec } from "../models/weights.ts";
import { alignUp, type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";
import { WeftError } from "./errors.ts";
import type { Checkpoint, WeightTensor } from "./weights/checkpoint.ts";
import { DTYPE_BYTES, toFloat32, type WeightDtype } from "./weights/dtype.ts";
import { type LoadProgress, ProgressMeter, streamTensor } from "./weights/stream.ts";

/** Bytes handed to the queue before the loader waits for it: the staging memory's bound. */
const MAX_QUEUED_BYTES = 32 * 1024 * 1024;

export interface PlacedWeight {
  readonly spec: WeightSpec;
  readonly tensors: readonly WeightTensor[];
  readonly dtype: WeightDtype;
  readonly sizeBytes: number;
}

/**
 * Looks every tensor up before a byte is read or a buffer made.
 * @throws {WeftError} `missing_tensor`, `unsupported_dtype`, `bad_safetensors` for a wrong shape.
 */
export function placeWeights(specs: readonly WeightSpec[], checkpoint: Checkpoint): PlacedWeight[] {
  return specs.map((spec) => {
    const tensors = spec.parts.map(({ tensor, shape }) => checkpoint.tensor(tensor, shape));
    const dtype = spec.vector ? "f32" : commonDtype(tensors);
    return { spec, tensors, dtype, sizeBytes: spec.rows * spec.columns * DTYPE_BYTES[dtype] };
  });
}

export interface LoadWeightsOptions {
  /** How the kernels load a stored type. */
  readonly format: (dtype: WeightDtype) => WeightFormatName;
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/** @throws {WeftError} `out_of_memory`, `limit_exceeded`, and what reading throws. */
export async function loadWeights(
  device: Device,
  placed: readonly PlacedWeight[],
  { format, onProgress, signal }: LoadWeightsOptions,
): Promise<Map<string, Weight>> {
  const totalBytes = placed
    .flatMap(({ tensors }) => tensors)
    .reduce((sum, { byteLength }) => sum + byteLength, 0);
  const meter = new ProgressMeter(totalBytes, onProgress);
  const weights = new Map<string, Weight>();
  let queuedBytes = 0;
  for (const weight of placed) {
    const loaded = await allocate(device, weight, format(weight.dtype));
    let from = 0;
    for (const tensor of weight.tensors) {
      for await (const { offset, bytes } of streamTensor(tensor, { signal, meter })) {
        const stored =
          tensor.dtype === weight.dtype ? bytes : asBytes(toFloat32(bytes, tensor.dtype));
        const scale = DTYPE_BYTES[weight.dtype] / DTYPE_BYTES[tensor.dtype];
        writeAcrossShards(device, weight, loaded, from + offset * scale, stored);
        queuedBytes += stored.byteLength;
        if (queuedBytes < MAX_QUEUED_BYTES) continue;
        await device.idle();
        queuedBytes = 0;
      }
      from += tensor.byteLength * (DTYPE_BYTES[weight.dtype] / DTYPE_BYTES[tensor.dtype]);
    }
    weights.set(weight.spec.name, loaded);
  }
  await device.idle();
  return weights;
}

/** Rows that one binding holds. @throws {WeftError} `limit_exceeded` where a weight must be whole. */
export function maxShardRows(device: Device, { spec, dtype }: PlacedWeight): number {
  const { name, rows, columns, shardable } = spec;
  const rowBytes = columns * DTYPE_BYTES[dtype];
  const { maxBindingBytes, maxBufferBytes } = device.info.limits;
  const maxRows = Math.floor(Math.min(maxBindingBytes, maxBufferBytes) / rowBytes);
  if (maxRows >= (shardable ? 1 : rows)) return maxRows;
  throw new WeftError(
    "limit_exceeded",
    `weight ${name} is ${rows * rowBytes} bytes in one binding, this adapter allows ` +
      `${maxBindingBytes}; use an adapter with larger bindings or a smaller model`,
  );
}

async function allocate(
  device: Device,
  weight: PlacedWeight,
  format: WeightFormatName,
): Promise<Weight> {
  const { spec, dtype } = weight;
  const { name, rows, columns } = spec;
  const rowBytes = columns * DTYPE_BYTES[dtype];
  const maxRows = maxShardRows(device, weight);
  const shards: WeightShard[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += maxRows) {
    const count = Math.min(maxRows, rows - firstRow);
    const buffer = await device.createBuffer(`${name}#${shards.length}`, count * rowBytes);
    shards.push({ slice: wholeBuffer(buffer), firstRow, rows: count });
  }
  return { format, rows, columns, shards };
}

/** `at` counts bytes from the start of the whole matrix. */
function writeAcrossShards(
  device: Device,
  { spec, dtype }: PlacedWeight,
  { shards }: Weight,
  at: number,
  bytes: Uint8Array,
): void {
  const rowBytes = spec.columns * DTYPE_BYTES[dtype];
  for (const { slice, firstRow, rows } of shards) {
    const start = firstRow * rowBytes;
    const from = Math.max(0, start - at);
    const to = Math.min(bytes.byteLength, start + rows * rowBytes - at);
    if (from >= to) continue;
    const part = bytes.subarray(from, to);
    device.write(slice.buffer as DeviceBuffer, at + from - start, padded(part));
  }
}

/** Only the very last bytes of a 16-bit tensor can be an odd half word. */
function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength % 4 === 0) return bytes;
  const whole = new Uint8Array(alignUp(bytes.byteLength, 4));
  whole.set(bytes);
  return whole;
}

/** Tensors fused into one matrix share a type; a mixed checkpoint is widened to f32. */
function commonDtype(tensors: readonly WeightTensor[]): WeightDtype {
  const [first, ...rest] = tensors;
  return rest.every(({ dtype }) => dtype === first.dtype) ? first.dtype : "f32";
}

const asBytes = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
