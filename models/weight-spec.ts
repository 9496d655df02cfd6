/**
 * What a weight is: rows of tensors one below the other, and how they may be cut and stored. Names only;
 * the runtime reads and places the bytes.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import type { WeightFormatName } from "../kernels/weight-format.ts";

export interface WeightPart {
  readonly tensor: string;
  /** As the checkpoint must have it: [rows, columns], or [columns] for a vector; stacks before them. */
  readonly shape: readonly number[];
  /** Of so many rows those of one half alternate with those of the other; 0 or absent where not. */
  readonly alternating?: number;
}

export interface WeightSpec {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Stored as f32 whatever the checkpoint has: norms and biases, read by every row. */
  readonly vector: boolean;
  /** Added to each value of a vector. */
  readonly offset?: number;
  /** A row per token of the vocabulary. */
  readonly vocabulary: boolean;
  /** Rows that stay together where a matrix is too large for one binding: a head's. */
  readonly unit: number;
  /** Gates and the values that they gate, half the rows each: one format for all. */
  readonly gated: boolean;
  /** Matrices one below the other, all of one format, or vectors; 1 unless it is a stack of experts. */
  readonly stacked: number;
  /** Never quantised on the way in: a router, whose near ties decide which experts run. */
  readonly exact: boolean;
  readonly parts: readonly WeightPart[];
  /** The same rows in one tensor, as other checkpoints of the family have them. */
  readonly whole?: WeightPart;
}

/** A run of rows of a matrix in one binding, of one format; of a gated one, gates over their values. */
export interface WeightShard {
  readonly slice: BufferSlice;
  readonly format: WeightFormatName;
  /** Of a gated matrix, the first gate. */
  readonly firstRow: number;
  /** Gates and values together. */
  readonly rows: number;
}

export interface Weight {
  readonly rows: number;
  readonly columns: number;
  readonly shards: readonly WeightShard[];
}

/** Name and rows of a matrix, or elements of a vector. */
export type TensorRows = readonly [tensor: string, rows: number];

export const layerWeight = (layer: number, name: string): string => `layers.${layer}.${name}`;

/** @param parts Names without `.weight`. */
export function matrix(
  name: string,
  columns: number,
  parts: readonly TensorRows[],
  { vocabulary = false, gated = false, unit = 1, stacked = 1, exact = false } = {},
): WeightSpec {
  return {
    name,
    columns,
    rows: parts.reduce((sum, [, rows]) => sum + rows, 0),
    vector: false,
    vocabulary,
    unit,
    gated,
    stacked,
    exact,
    parts: parts.map(([tensor, rows]) => ({ tensor: `${tensor}.weight`, shape: [rows, columns] })),
  };
}

export function vector(name: string, parts: readonly TensorRows[]): WeightSpec {
  const columns = parts.reduce((sum, [, size]) => sum + size, 0);
  return {
    name,
    columns,
    rows: 1,
    vector: true,
    vocabulary: false,
    unit: 1,
    gated: false,
    stacked: 1,
    exact: true,
    parts: parts.map(([tensor, size]) => ({ tensor, shape: [size] })),
  };
}

/** Vectors of all experts, in one tensor. */
export const stackedVector = (name: string, part: WeightPart): WeightSpec => ({
  ...vector(name, [["", part.shape[0] * part.shape[1]]]),
  stacked: part.shape[0],
  parts: [part],
});

/** Of matrices. */
export const biases = (parts: readonly TensorRows[]): TensorRows[] =>
  parts.map(([tensor, size]) => [`${tensor}.bias`, size]);
