/**
 * Where found shapes are kept between loads: the interface of a cache, and what is in it. A cache is
 * never trusted: what does not read as a record, or is of other kernels, counts as not there.
 */

import { shapeNamed } from "../../kernels/matmul.ts";
import type { MatmulShape } from "../../kernels/matmul-shape.ts";
import { bringPackedFormats } from "../../kernels/packed-formats.ts";
import { type WeightFormatName, weightFormats } from "../../kernels/weight-format.ts";
import { type MatrixUse, matrixKey } from "../../models/matrix-use.ts";
import type { DeviceInfo } from "../device.ts";
import { runsOn } from "./candidates.ts";
import { kernelsHash } from "./kernels-hash.ts";
import { bucketOf, type RowBucket } from "./row-bucket.ts";
import type { TunedMatrix } from "./tune.ts";

bringPackedFormats();

/** Keeps one record per device. What is lost or wrong is only measured again. */
export interface TuningCache {
  /** @returns What was stored under the key, as it is; undefined when there is nothing to read. */
  read(key: string): Promise<unknown>;
  write(key: string, record: TuningRecord): Promise<void>;
}

export interface TuningRecord {
  readonly entries: readonly TuningEntry[];
}

/** Plain data: a matrix, a kind of row count, and the shape that won there. */
export interface TuningEntry extends MatrixUse {
  readonly bucket: RowBucket;
  readonly shape: string;
  /** Of one multiplication, in microseconds: by the winner, and by what runs without tuning. */
  readonly us: number;
  readonly standardUs: number;
  /** `kernelsHash` of the format. */
  readonly kernels: string;
}

/** Devices that share a key run the same driver on the same adapter with the same features. */
export const tuningKey = ({ identity, features }: DeviceInfo): string =>
  `${identity}|${features.join(",")}`;

/** Entries of the record that hold for the device and for these kernels. */
export function readRecord(record: unknown, info: DeviceInfo): TuningEntry[] {
  const { entries } = Object(record) as { entries?: unknown };
  if (!Array.isArray(entries)) return [];
  const hashes = new Map<WeightFormatName, string>();
  const hashOf = (format: WeightFormatName) => {
    const hash = hashes.get(format) ?? kernelsHash(format);
    hashes.set(format, hash);
    return hash;
  };
  return entries.filter((entry: unknown): entry is TuningEntry => {
    if (!isEntry(entry) || entry.kernels !== hashOf(entry.format)) return false;
    const shape = shapeOf(entry);
    return shape !== undefined && runsOn(info, shape, entry);
  });
}

/** The shape that an entry names, where it is for as many rows. */
export function shapeOf({ shape: name, bucket }: TuningEntry): MatmulShape | undefined {
  const shape = shapeNamed(name);
  return shape && bucketOf(shape) === bucket ? shape : undefined;
}

export const entryOf = ({ use, bucket, shape, us, standardUs }: TunedMatrix): TuningEntry => ({
  ...{ ...use, bucket, shape: shape.name, us, standardUs },
  kernels: kernelsHash(use.format),
});

/** The entries with this one, in the place of an older one for the same work. */
export function withEntry(entries: readonly TuningEntry[], entry: TuningEntry): TuningEntry[] {
  const isSame = (other: TuningEntry) =>
    other.bucket === entry.bucket && matrixKey(other) === matrixKey(entry);
  return [...entries.filter((other) => !isSame(other)), entry];
}

function isEntry(value: unknown): value is TuningEntry {
  const entry = Object(value) as Record<string, unknown>;
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) > 0;
  return (
    typeof entry.format === "string" &&
    Object.hasOwn(weightFormats, entry.format) &&
    [entry.N, entry.K].every(isSize) &&
    [entry.gated, entry.norm, entry.octets].every((flag) => typeof flag === "boolean") &&
    [entry.bucket, entry.shape, entry.kernels].every((text) => typeof text === "string") &&
    [entry.us, entry.standardUs].every(Number.isFinite)
  );
}
