/**
 * How every weight matrix lies in memory, whatever its format, in 16-byte words: lanes that take
 * neighbouring chunks read neighbouring words.
 *
 *   codes  [rows, pieces, chunks]    pieces of a chunk of 32 weights
 *   then each plane [rows, stride]   u32 fields of chunks; a row is padded to 16 bytes
 */
import {
  CHUNK,
  type PackedRow,
  type Plane,
  type RowBlocks,
  type WeightFormat,
} from "./formats/format.ts";
import { type Binding, ceilDiv, read, wgsl } from "./kernel.ts";

/** u32 fields of a row, padding aside. */
export const planeWords = (plane: Plane, columns: number): number =>
  ceilDiv(columns / CHUNK, plane.chunks) * plane.words;

/** 16-byte words of a row in one plane. */
const stride = (plane: Plane, columns: number): number => ceilDiv(planeWords(plane, columns), 4);

/** 16-byte words of a row: its pieces, then its planes. */
export const packedRowWords = ({ pieces, planes }: WeightFormat, columns: number): number =>
  pieces * (columns / CHUNK) + planes.reduce((sum, plane) => sum + stride(plane, columns), 0);

export const packedBytes = (format: WeightFormat, rows: number, columns: number): number =>
  16 * rows * packedRowWords(format, columns);

/** A weight matrix as kernels bind it. @param shape "rows,columns", in dims. */
export const packedRead = (shape: string, format: WeightFormat): Binding => ({
  ...read(shape, "vec4<u32>"),
  packing: {
    format: format.name,
    bytes: (rows, columns) => packedBytes(format, rows, columns),
    unpack: (words, rows, columns) => unpackMatrix(format, words, rows, columns),
    pack: (values, rows, columns) => packMatrix(format, values, rows, columns),
  },
});

/**
 * `fn piece_at(row, piece, chunk)` and, for plane p, `fn plane{p}_at(row)`, its first word, and
 * `fn plane{p}_stride()`.
 * @param rows,columns Expressions of the matrix's sizes.
 */
export function packedWgsl(format: WeightFormat, rows: string, columns: string): string {
  const { pieces, planes } = format;
  const chunks = `(${columns} / ${CHUNK}u)`;
  const strides = planes.map(
    (plane) =>
      `((${chunks} + ${plane.chunks - 1}u) / ${plane.chunks}u * ${plane.words}u + 3u) / 4u`,
  );
  const planeLines = planes.map((_, p) => {
    const before = [
      `${pieces}u * ${chunks}`,
      ...strides.slice(0, p).map((_, i) => `plane${i}_stride()`),
    ];
    return wgsl`fn plane${p}_stride() -> u32 { return ${strides[p]}; }
fn plane${p}_at(row: u32) -> u32 { return ${rows} * (${before.join(" + ")}) + row * plane${p}_stride(); }`;
  });
  return [
    wgsl`fn piece_at(row: u32, piece: u32, chunk: u32) -> u32 { return (row * ${pieces}u + piece) * ${chunks} + chunk; }`,
    ...planeLines,
  ].join("\n");
}

/** Where formats find the fields of any row: read anew for each piece. For tiles and single rows. */
export const directPlanesWgsl = ({ planes }: WeightFormat): string =>
  planes
    .map(
      (_, p) => wgsl`fn plane${p}(row: u32, word: u32) -> u32 {
  return load_weight(plane${p}_at(row) + word / 4u)[word % 4u];
}`,
    )
    .join("\n");

/** Bytes that a chunk then takes. */
export const directBytes = ({ pieces, fieldReads }: WeightFormat): number =>
  16 * pieces * (1 + fieldReads);

/** Blocks of a file, row by row, to packed words: the slow twin of kernels/repack.ts. */
export function packRow(
  format: WeightFormat,
  row: RowBlocks,
  { rows, columns, at }: { rows: number; columns: number; at: number },
  out: Uint32Array,
): void {
  const chunks = columns / CHUNK;
  for (let piece = 0; piece < format.pieces; piece++) {
    for (let chunk = 0; chunk < chunks; chunk++) {
      const word = 4 * ((at * format.pieces + piece) * chunks + chunk);
      for (let i = 0; i < 4; i++) out[word + i] = format.codeWord(row, chunk, 4 * piece + i);
    }
  }
  let start = 4 * rows * format.pieces * chunks;
  for (const [p, plane] of format.planes.entries()) {
    const words = 4 * stride(plane, columns);
    const used = planeWords(plane, columns);
    for (let i = 0; i < words; i++) {
      out[start + at * words + i] = i < used ? format.planeWord(row, p, i) : 0;
    }
    start += rows * words;
  }
}

/** The weights of a packed matrix as f32: what the kernels' references multiply. */
export function unpackMatrix(
  format: WeightFormat,
  words: Uint32Array,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const chunks = columns / CHUNK;
  const out = new Float32Array(rows * columns);
  const starts: number[] = [];
  let start = 4 * rows * format.pieces * chunks;
  for (const plane of format.planes) {
    starts.push(start);
    start += 4 * rows * stride(plane, columns);
  }
  for (let at = 0; at < rows; at++) {
    const row: PackedRow = {
      code: (chunk, word) =>
        words[4 * ((at * format.pieces + (word >> 2)) * chunks + chunk) + (word & 3)],
      field: (p, word) => words[starts[p] + at * 4 * stride(format.planes[p], columns) + word],
    };
    for (let chunk = 0; chunk < chunks; chunk++) {
      format.unpack(row, chunk, out, at * columns + chunk * CHUNK);
    }
  }
  return out;
}

/** Bytes of one row of a file, by halfwords. */
export function rowBlocks(bytes: Uint8Array, chunks: number): RowBlocks {
  const half = (i: number) => (bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8);
  return { chunks, word: (i) => (half(i) | (half(i + 1) << 16)) >>> 0 };
}

/** Whole blocks of a file as f32. */
export function decodeBlocks(format: WeightFormat, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const columns = (bytes.length / format.block.bytes) * format.block.weights;
  const words = new Uint32Array(packedBytes(format, 1, columns) / 4);
  packRow(format, rowBlocks(bytes, columns / CHUNK), { rows: 1, columns, at: 0 }, words);
  return unpackMatrix(format, words, 1, columns);
}

/** Values near the given ones, packed: for known-answer inputs. */
export function packMatrix(
  format: WeightFormat,
  values: Float32Array,
  rows: number,
  columns: number,
): Uint32Array {
  const out = new Uint32Array(packedBytes(format, rows, columns) / 4);
  for (let at = 0; at < rows; at++) {
    const blocks = format.encode(values.subarray(at * columns, (at + 1) * columns));
    packRow(format, rowBlocks(blocks, columns / CHUNK), { rows, columns, at }, out);
  }
  return out;
}
