/**
 * MLX's 4-bit groups while they stream: rows of codes, scales and biases lie in three places of a file
 * and leave as rows of blocks. Owns a piece of each and the one that is made of them.
 *
 *   weight [rows, columns / 8] u32, lowest nibble first
 *   scales, biases [rows, columns / group]
 *
 * @see mlx.core.quantize
 */
import {
  asHalfwords,
  asWords,
  blockWords,
  CODES_PER_WORD,
  type Int4Matrix,
  inStep,
  rowWords,
} from "./int4-matrix.ts";
import {
  type FileSpan,
  PIECE_BYTES,
  type Pieces,
  type StreamOptions,
  streamSpan,
} from "./stream.ts";

export interface MlxMatrix extends Int4Matrix {
  readonly codes: FileSpan;
  readonly scales: FileSpan;
  readonly biases: FileSpan;
  /** Else of 16 bits: then there is a format for the blocks. */
  readonly hasFloat32Scales: boolean;
}

/** Blocks of `affine4`, or f32 weights where scales are f32. */
export async function* streamMlx(
  matrix: MlxMatrix,
  { pieceBytes = PIECE_BYTES, signal, meter }: StreamOptions,
): Pieces {
  const { rows, codes, scales, biases } = matrix;
  const rowBytes = 4 * (matrix.hasFloat32Scales ? matrix.columns : rowWords(matrix));
  const rowsPerPiece = Math.max(1, Math.floor(pieceBytes / rowBytes));
  const parts = [codes, scales, biases].map((span) =>
    streamSpan(span, { pieceBytes: (span.byteLength / rows) * rowsPerPiece, signal }),
  );
  let offset = 0;
  for await (const [codeBytes, scaleBytes, biasBytes] of inStep(parts)) {
    const words = asWords(codeBytes);
    const made = matrix.hasFloat32Scales
      ? weights(matrix, words, asFloats(scaleBytes), asFloats(biasBytes))
      : blocks(matrix, words, asHalfwords(scaleBytes), asHalfwords(biasBytes));
    const bytes = new Uint8Array(made.buffer);
    meter?.add(bytes.byteLength, codes.source.name);
    yield { offset, bytes };
    offset += bytes.byteLength;
  }
}

function blocks(
  matrix: MlxMatrix,
  codes: Uint32Array,
  scales: Uint16Array,
  biases: Uint16Array,
): Uint32Array<ArrayBuffer> {
  const words = blockWords(matrix);
  const perGroup = matrix.groupColumns / matrix.blockColumns;
  const out = new Uint32Array((codes.length * CODES_PER_WORD * words) / matrix.blockColumns);
  for (let block = 0, at = 0, from = 0; at < out.length; block++) {
    const group = Math.floor(block / perGroup);
    out[at++] = scales[group] | (biases[group] << 16);
    for (let word = 1; word < words; word++) out[at++] = codes[from++];
  }
  return out;
}

/** Kernels have no f32 scales: a driver may round their product with a code or not (docs/decisions.md). */
function weights(
  { groupColumns }: MlxMatrix,
  codes: Uint32Array,
  scales: Float32Array,
  biases: Float32Array,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(codes.length * CODES_PER_WORD);
  for (let i = 0; i < out.length; i++) {
    const group = Math.floor(i / groupColumns);
    const code = (codes[i >>> 3] >>> (4 * (i & 7))) & 15;
    out[i] = Math.fround(scales[group] * code) + biases[group];
  }
  return out;
}

const asFloats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);
