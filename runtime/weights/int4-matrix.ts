/**
 * A matrix of 4-bit groups before its blocks are made: what the layouts of MLX, AWQ and GPTQ share.
 * Blocks are those of kernels/formats/int4-group.ts.
 */
import type { GroupSize } from "../../kernels/formats/format.ts";
import type { Bytes } from "./byte-source.ts";
import type { Piece } from "./stream.ts";

/** Codes in a 32-bit word. */
export const CODES_PER_WORD = 8;

export interface Int4Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Columns that share a scale in the file. */
  readonly groupColumns: number;
  /** Columns of a block: a divisor of `groupColumns`, whose scale is then repeated. */
  readonly blockColumns: GroupSize;
}

/** 32-bit words of a block: its scale and its offset share the first. */
export const blockWords = ({ blockColumns }: Int4Matrix): number =>
  1 + blockColumns / CODES_PER_WORD;

export const rowWords = (matrix: Int4Matrix): number =>
  (matrix.columns / matrix.blockColumns) * blockWords(matrix);

/** The pieces of several streams, one of each at a time, as long as all have one. */
export async function* inStep(
  streams: readonly AsyncGenerator<Piece, void, undefined>[],
): AsyncGenerator<Bytes[], void, undefined> {
  try {
    for (;;) {
      const pieces: Bytes[] = [];
      for (const { done, value } of await Promise.all(streams.map((stream) => stream.next()))) {
        if (done) return;
        pieces.push(value.bytes);
      }
      yield pieces;
    }
  } finally {
    await Promise.allSettled(streams.map((stream) => stream.return()));
  }
}

/** A view where the bytes are aligned, else a copy. */
export const asWords = (bytes: Bytes): Uint32Array<ArrayBuffer> =>
  bytes.byteOffset % 4 === 0
    ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    : new Uint32Array(bytes.slice().buffer);

export const asHalfwords = (bytes: Bytes): Uint16Array<ArrayBuffer> =>
  bytes.byteOffset % 2 === 0
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
    : new Uint16Array(bytes.slice().buffer);
