/**
 * Streams a checkpoint's tensors into device buffers, piece by piece: host memory holds two pieces at
 * a time, whatever the size of tensor or shard. Matrices keep their stored type, unless they are to be
 * quantised, and are packed on the device; vectors become f32.
 */
import { packedBytes } from "../kernels/packed-matrix.ts";
import { weightFormats } from "../kernels/weight-format.ts";
import type { Weight, WeightShard, WeightSpec } from "../models/weights.ts";
import { type Device, wholeBuffer } from "./device.ts";
import { WeftError } from "./errors.ts";
import { formatsOf, type PlacedWeight, type WeightRun } from "./placed-weight.ts";
import { RowPacker, type ShardPlace, stagedPieces } from "./row-packer.ts";
import { type OnProgress, ProgressMeter } from "./weights/progress.ts";
import { inOrder } from "./weights/row-order.ts";
import { readFloat32 } from "./weights/stream.ts";

export interface LoadWeightsOptions {
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/** @throws {WeftError} `out_of_memory`, `limit_exceeded`, and what reading throws. */
export async function loadWeights(
  device: Device,
  placed: readonly PlacedWeight[],
  { onProgress, signal }: LoadWeightsOptions,
): Promise<Map<string, Weight>> {
  const tensors = placed.flatMap(({ runs }) => runs.flatMap((run) => run.tensors));
  const totalBytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const stream = { signal, meter: new ProgressMeter(totalBytes, onProgress) };
  const packer = await RowPacker.create(device, new Set(formatsOf(placed)));
  const weights = new Map<string, Weight>();
  try {
    for (const weight of placed) {
      const { spec, runs } = weight;
      const { rows, columns } = spec;
      const shards: WeightShard[] = [];
      for (const run of runs) {
        if (spec.vector) {
          shards.push(await vector(device, weight, stream));
          continue;
        }
        const own = await allocateShards(device, weight, run);
        const places = own.flatMap((shard) => placesOf(shard, spec));
        await packer.pack(stagedPieces(weight, run, stream), places);
        shards.push(...own);
      }
      weights.set(spec.name, { rows, columns, shards });
    }
    await device.idle();
  } finally {
    packer.close();
  }
  return weights;
}

/** Rows of a run that one binding holds. @throws {WeftError} `limit_exceeded` where not even one does. */
export function maxShardRows(
  device: Device,
  { spec }: PlacedWeight,
  run: Pick<WeightRun, "format">,
): number {
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

/** Buffers for a run's rows, each as many as one binding holds. @throws {WeftError} `out_of_memory`. */
export async function allocateShards(
  device: Device,
  weight: PlacedWeight,
  { format, firstRow, rows: runRows }: WeightRun,
): Promise<WeightShard[]> {
  const { name, columns, gated } = weight.spec;
  const maxRows = maxShardRows(device, weight, { format });
  const shards: WeightShard[] = [];
  for (let from = 0; from < runRows; from += maxRows) {
    const rows = Math.min(maxRows, runRows - from);
    const first = firstRow + from / (gated ? 2 : 1);
    const sizeBytes = packedBytes(weightFormats[format], rows, columns);
    const buffer = await device.createBuffer(`${name}#${first}`, sizeBytes);
    shards.push({ slice: wholeBuffer(buffer), format, firstRow: first, rows });
  }
  return shards;
}

async function vector(
  device: Device,
  { spec, runs: [run] }: PlacedWeight,
  stream: Parameters<typeof readFloat32>[1],
): Promise<WeightShard> {
  const buffer = await device.createBuffer(spec.name, run.sizeBytes);
  let at = 0;
  for (const tensor of run.tensors) {
    const stored = inOrder(await readFloat32(tensor, stream), tensor.rowOrder);
    const offset = (spec.offset ?? 0) - (tensor.added ?? 0);
    const values = offset === 0 ? stored : stored.map((value) => value + offset);
    device.write(buffer, at, values);
    at += values.byteLength;
  }
  return { slice: wholeBuffer(buffer), format: run.format, firstRow: 0, rows: 1 };
}

/** A gated shard has the gates of its outputs, and below them their values, half a matrix further on. */
function placesOf(shard: WeightShard, spec: WeightSpec): ShardPlace[] {
  const { firstRow, rows } = shard;
  if (!spec.gated) return [{ shard, matrixRow: firstRow, shardRow: 0, rows }];
  const outputs = rows / 2;
  return [
    { shard, matrixRow: firstRow, shardRow: 0, rows: outputs },
    { shard, matrixRow: spec.rows / 2 + firstRow, shardRow: outputs, rows: outputs },
  ];
}
