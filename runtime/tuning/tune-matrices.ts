/**
 * Tunes matrices for their own sake, without a model: what `weft bench kernels --tune` does. Stores
 * each result as it comes, so that it can be left at any time.
 */
import type { BufferSlice } from "../../kernels/kernel.ts";
import { type MatrixUse, matrixKey } from "../../models/matrix-use.ts";
import type { Device } from "../device.ts";
import { throwIfAborted } from "../errors.ts";
import { selectKernels } from "../select-kernels.ts";
import { Budget } from "./budget.ts";
import { BUCKET_ROWS, bucketOf, type RowBucket } from "./row-bucket.ts";
import { tuneMatrix } from "./tune.ts";
import { entryOf, readRecord, type TuningCache, tuningKey, withEntry } from "./tuning-cache.ts";

export type { MatrixUse } from "../../models/matrix-use.ts";

export interface TuneOptions {
  readonly cache: TuningCache;
  /** Of a matrix and a kind of row count, in milliseconds. */
  readonly budgetMs: number;
  /** Several matrices of the use, valid until the next are asked for. */
  weightsOf(use: MatrixUse): Promise<readonly BufferSlice[]>;
  readonly signal?: AbortSignal;
}

export interface TuneRequest extends MatrixUse {
  /** Rows that it is ever multiplied with at once. */
  readonly maxRows: number;
}

/** Plain data. */
export interface TuneResult {
  readonly matrix: MatrixUse;
  readonly bucket: RowBucket;
  /** Rows that were multiplied. */
  readonly rows: number;
  /** What runs without tuning, and its time; without a time, none was taken: `dropped` may say why. */
  readonly standard: string;
  readonly standardUs?: number;
  /** The fastest of those that give the same bits. */
  readonly shape?: string;
  readonly us?: number;
  readonly tried: number;
  readonly dropped: readonly { readonly shape: string; readonly reason: string }[];
}

/** @throws {WeftError} of the device; `aborted`. */
export async function* tuneMatrices(
  device: Device,
  requests: readonly TuneRequest[],
  { cache, budgetMs, weightsOf, signal }: TuneOptions,
): AsyncGenerator<TuneResult, void, undefined> {
  const { matmul } = await selectKernels(device, new Set(requests.map(({ format }) => format)));
  const key = tuningKey(device.info);
  let entries = readRecord(await cache.read(key), device.info);
  const seen = new Set<string>();
  for (const request of requests) {
    const { format, N, K, gated, norm, octets, maxRows } = request;
    const matrix: MatrixUse = { format, N, K, gated, norm, octets };
    const choice = matmul.get(format)!;
    if (!choice.fusesNorm || seen.has(matrixKey(matrix))) continue;
    seen.add(matrixKey(matrix));
    const weights = await weightsOf(matrix);
    for (const standard of choice.shapes) {
      throwIfAborted(signal);
      const bucket = bucketOf(standard);
      if (bucket === "many" && maxRows <= 16) continue;
      const tunable = { ...matrix, weights, maxRows };
      const tuned = await tuneMatrix(device, tunable, standard, new Budget(budgetMs));
      const names = { matrix, bucket, standard: standard.name };
      if (!tuned) {
        yield { ...names, rows: Math.min(maxRows, BUCKET_ROWS[bucket]), tried: 0, dropped: [] };
        continue;
      }
      entries = withEntry(entries, entryOf(tuned));
      await cache.write(key, { entries });
      const { shape, us, standardUs, rows, tried, dropped } = tuned;
      yield { ...names, rows, shape: shape.name, us, standardUs, tried, dropped };
    }
  }
}
