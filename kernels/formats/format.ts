/**
 * What a weight format is: how 32 consecutive weights of a row lie in memory and become f32. A matrix
 * kernel is composed from one of these, a shape (matmul-*.ts), a prologue and an epilogue.
 *
 * Weights decode exactly, to the f32 that upstream's definition gives. So a quantised matrix computes
 * the very bits of the f32 matrix that it decodes to, in every kernel shape.
 */
export type WeightFormatName =
  | ("f32" | "f16" | "bf16")
  | ("q8_0" | "q4_0" | "q4_k" | "q5_k" | "q6_k" | "mxfp4")
  | AffineFormatName
  | ZeroPointFormatName;

/** Columns that share a scale in formats/int4-group.ts. */
export type GroupSize = 32 | 64 | 128;
export type AffineFormatName = `affine4_${"f16" | "bf16"}_g${GroupSize}`;
export type ZeroPointFormatName = `zeropoint4_${"f16" | "bf16"}_g${GroupSize}`;

/** Fields of a row's chunks: `words` u32 for every `chunks` chunks. */
export interface Plane {
  readonly chunks: number;
  readonly words: number;
}

export interface WeightFormat {
  readonly name: WeightFormatName;
  /** How weights lie in a file: so many in so many bytes. */
  readonly block: { readonly weights: number; readonly bytes: number };
  /** 16-byte pieces of a chunk of 32 weights. */
  readonly pieces: 1 | 2 | 4 | 8;
  readonly planes: readonly Plane[];
  /**
   * `struct Chunk` whose field `codes` holds one piece; `fn open_chunk(row, chunk) -> Chunk`, which
   * reads fields by `plane0(row, word)` and so on; `fn take4(&chunk, quad)`, asked for quads 0 to 7 in
   * turn. Rows are what the kernel shape counts: of the matrix, or of the workgroup.
   */
  readonly wgsl: string;
  /** Where weights are small whole numbers with one scale for a chunk; such matrices can take int8 rows. */
  readonly integer?: IntegerCodes;
  /** Fields that `open_chunk` reads. */
  readonly fieldReads: number;
  /**
   * From the file's blocks to packed words: `fn code_word(chunk, word)` for the words of a chunk's
   * pieces, `fn plane_word(plane, word)`. Both read `word_at(i)`, two halfwords of the row from the
   * i-th on.
   */
  readonly repackWgsl: string;
  /** How often a word asks `word_at`. */
  readonly repackReads: { readonly code: number; readonly planes: readonly number[] };
  /** Slow twins of `repackWgsl`. */
  codeWord(row: RowBlocks, chunk: number, word: number): number;
  planeWord(row: RowBlocks, plane: number, word: number): number;
  /** Slow twin of `wgsl`: 32 weights of a chunk into `out` from `at` on. */
  unpack(row: PackedRow, chunk: number, out: Float32Array, at: number): void;
  /** Blocks of one row, of values near the given ones. */
  encode(values: Float32Array): Uint8Array<ArrayBuffer>;
}

/** weight = scale · code + offset, scale and offset of 17 significant bits at most. */
export interface IntegerCodes {
  /**
   * Goes with the format's `wgsl`: `fn take4_i8(&c, quad) -> u32`, as `take4`, four signed bytes;
   * `fn scale_of(c) -> f32` and, where weights have an offset, `fn offset_of(c) -> f32`.
   */
  readonly wgsl: string;
  readonly hasOffset: boolean;
}

/** One row as it lies in a file. */
export interface RowBlocks {
  readonly chunks: number;
  /** Halfwords i and i + 1, unsigned. */
  word(i: number): number;
}

/** One row as it lies in a buffer. */
export interface PackedRow {
  /** Word of a chunk's pieces. */
  code(chunk: number, word: number): number;
  field(plane: number, word: number): number;
}

/** Weights in one chunk: the unit of the sum's order, and of every format here. */
export const CHUNK = 32;
