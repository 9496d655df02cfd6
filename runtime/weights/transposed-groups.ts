/**
 * AWQ's and GPTQ's 4-bit groups while they stream: files have them column by column of the matrix, and
 * they leave as rows of blocks. Owns a stripe of blocks: a matrix that is larger is read once for each.
 *
 *   AWQ   qweight [columns, rows / 8] i32, eight rows to a word in the order 0 2 4 6 1 3 5 7
 *   GPTQ  qweight [columns / 8, rows] i32, eight columns to a word, lowest nibble first
 *   both  scales [groups, rows]; qzeros [groups, rows / 8] i32, AWQ's in its order
 *
 * @see AutoAWQ awq/utils/packing_utils.py; AutoGPTQ auto_gptq/nn_modules/qlinear
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

/** Blocks that are made at a time: host memory beside the pieces of the file. */
export const STRIPE_BYTES = 64 * 1024 * 1024;
/** Words of a row that are put at a time, so that what was read stays in a cache. */
const TILE = 64;
/** Which nibble of its word row i of eight is in. */
const AWQ_NIBBLES = [0, 4, 1, 5, 2, 6, 3, 7];
const GPTQ_NIBBLES = [0, 1, 2, 3, 4, 5, 6, 7];

export interface TransposedMatrix extends Int4Matrix {
  readonly method: "awq" | "gptq";
  readonly qweight: FileSpan;
  readonly qzeros: FileSpan;
  readonly scales: FileSpan;
  /** What is added to a stored zero point, modulo 16. */
  readonly zeroPointShift: 0 | 1;
}

/** Blocks of `zeropoint4`. @param stripeBytes At most, but eight rows at least. */
export async function* streamTransposed(
  matrix: TransposedMatrix,
  { pieceBytes = PIECE_BYTES, signal, meter }: StreamOptions,
  stripeBytes = STRIPE_BYTES,
): Pieces {
  const rowBytes = 4 * rowWords(matrix);
  const rowsPerPiece = Math.max(1, Math.floor(pieceBytes / rowBytes));
  const rowsPerStripe = 8 * Math.max(1, Math.floor(stripeBytes / rowBytes / 8));
  for (let first = 0; first < matrix.rows; first += rowsPerStripe) {
    const rows = Math.min(rowsPerStripe, matrix.rows - first);
    const stripe = await readStripe(matrix, { first, rows }, signal);
    const bytes = new Uint8Array(stripe.buffer);
    for (let row = 0; row < rows; row += rowsPerPiece) {
      const piece = bytes.subarray(row * rowBytes, (row + rowsPerPiece) * rowBytes);
      meter?.add(piece.byteLength, matrix.qweight.source.name);
      yield { offset: (first + row) * rowBytes, bytes: piece };
    }
  }
}

/** Rows of the matrix. */
interface Stripe {
  readonly first: number;
  readonly rows: number;
}

async function readStripe(
  matrix: TransposedMatrix,
  stripe: Stripe,
  signal: AbortSignal | undefined,
): Promise<Uint32Array<ArrayBuffer>> {
  const { columns, groupColumns, qweight, qzeros, scales, method } = matrix;
  const blocks = new Uint32Array(stripe.rows * rowWords(matrix));
  const numGroups = columns / groupColumns;
  let group = 0;
  for await (const [scaleBytes, zeroBytes] of lines([scales, qzeros], numGroups, 1, signal)) {
    const halfwords = asHalfwords(scaleBytes);
    putHeads(matrix, stripe, blocks, { group, scales: halfwords, zeros: asWords(zeroBytes) });
    group += halfwords.length / matrix.rows;
  }
  // Eight columns make a word of a block: as many lines of AWQ, or one of GPTQ.
  const [numLines, together] = method === "awq" ? [columns, 8] : [columns / 8, 1];
  const put = method === "awq" ? putAwq : putGptq;
  let column = 0;
  for await (const [bytes] of lines([qweight], numLines, together, signal)) {
    const words = asWords(bytes);
    put(matrix, stripe, blocks, column, words);
    column += (words.length * CODES_PER_WORD) / matrix.rows;
  }
  return blocks;
}

/** Spans of equally many lines, in pieces of as many lines each. */
function lines(
  spans: readonly FileSpan[],
  numLines: number,
  together: number,
  signal: AbortSignal | undefined,
) {
  const longest = Math.max(...spans.map(({ byteLength }) => byteLength / numLines));
  const perPiece = together * Math.max(1, Math.floor(PIECE_BYTES / longest / together));
  return inStep(
    spans.map((span) => {
      const pieceBytes = (span.byteLength / numLines) * perPiece;
      return streamSpan(span, { pieceBytes, signal });
    }),
  );
}

/** Scales and zero points, from `group` on. */
function putHeads(
  matrix: TransposedMatrix,
  { first, rows }: Stripe,
  blocks: Uint32Array,
  { group, scales, zeros }: { group: number; scales: Uint16Array; zeros: Uint32Array },
): void {
  const nibbles = matrix.method === "awq" ? AWQ_NIBBLES : GPTQ_NIBBLES;
  const perRow = rowWords(matrix);
  const perBlock = blockWords(matrix);
  const perGroup = (matrix.groupColumns / matrix.blockColumns) * perBlock;
  for (let line = 0; line * matrix.rows < scales.length; line++) {
    for (let i = 0; i < rows; i++) {
      const at = line * matrix.rows + first + i;
      const zero = (zeros[at >>> 3] >>> (4 * nibbles[i & 7])) + matrix.zeroPointShift;
      const head = scales[at] | ((zero & 15) << 16);
      const start = i * perRow + (group + line) * perGroup;
      for (let block = 0; block < perGroup; block += perBlock) blocks[start + block] = head;
    }
  }
}

/** Words stay as they are. */
function putGptq(
  matrix: TransposedMatrix,
  { first, rows }: Stripe,
  blocks: Uint32Array,
  column: number,
  words: Uint32Array,
): void {
  const places = wordPlaces(matrix, column, words.length / matrix.rows);
  const perRow = rowWords(matrix);
  for (let tile = 0; tile < places.length; tile += TILE) {
    const end = Math.min(tile + TILE, places.length);
    for (let i = 0; i < rows; i++) {
      for (let line = tile; line < end; line++) {
        blocks[i * perRow + places[line]] = words[line * matrix.rows + first + i];
      }
    }
  }
}

/** Words of one column and eight rows become words of one row and eight columns. */
function putAwq(
  matrix: TransposedMatrix,
  { first, rows }: Stripe,
  blocks: Uint32Array,
  column: number,
  words: Uint32Array,
): void {
  const perLine = matrix.rows / 8;
  const places = wordPlaces(matrix, column, words.length / matrix.rows);
  const perRow = rowWords(matrix);
  const square = new Uint32Array(8);
  for (let tile = 0; tile < places.length; tile += TILE) {
    const end = Math.min(tile + TILE, places.length);
    for (let octet = 0; octet < rows / 8; octet++) {
      for (let place = tile; place < end; place++) {
        const from = place * 8 * perLine + first / 8 + octet;
        for (let line = 0; line < 8; line++) square[line] = words[from + line * perLine];
        transposeNibbles(square);
        const to = 8 * octet * perRow + places[place];
        for (let i = 0; i < 8; i++) blocks[to + i * perRow] = square[AWQ_NIBBLES[i]];
      }
    }
  }
}

/** Where in a row's blocks the words of columns from `column` on lie. */
function wordPlaces(matrix: TransposedMatrix, column: number, count: number): Uint32Array {
  const { blockColumns } = matrix;
  return Uint32Array.from({ length: count }, (_, i) => {
    const at = column + i * CODES_PER_WORD;
    const inBlock = at % blockColumns;
    return ((at - inBlock) / blockColumns) * blockWords(matrix) + 1 + inBlock / CODES_PER_WORD;
  });
}

/** Nibble j of word i becomes nibble i of word j: halves, quarters and eighths change places. */
function transposeNibbles(square: Uint32Array): void {
  swapNibbles(square, 4, 0x0000ffff);
  swapNibbles(square, 2, 0x00ff00ff);
  swapNibbles(square, 1, 0x0f0f0f0f);
}

/** The high parts of a word with the low parts of the word `step` further on. */
function swapNibbles(square: Uint32Array, step: number, mask: number): void {
  for (let pair = 0; pair < 4; pair++) {
    const low = 2 * pair - (pair % step);
    const moved = ((square[low] >>> (4 * step)) ^ square[low + step]) & mask;
    square[low + step] ^= moved;
    square[low] ^= moved << (4 * step);
  }
}
