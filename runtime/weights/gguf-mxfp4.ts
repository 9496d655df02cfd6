/**
 * ggml's blocks of MXFP4, 17 bytes, with the exponent in a halfword as kernels/formats/mxfp4.ts has it;
 * the order of nibbles is the same.
 */
import { bringPackedFormats } from "../../kernels/packed-formats.ts";
import type { Bytes } from "./byte-source.ts";
import type { WeightTensor } from "./checkpoint.ts";
import { storedBytes } from "./dtype.ts";
import {
  type FileSpan,
  PIECE_BYTES,
  type Pieces,
  type StreamOptions,
  streamSpan,
} from "./stream.ts";

bringPackedFormats();

const FILE_BYTES = 17;
const BLOCK_BYTES = 18;

export function widened(tensor: WeightTensor): WeightTensor {
  const rowBytes = storedBytes("mxfp4", tensor.shape.at(-1)!);
  return {
    ...tensor,
    byteLength: (tensor.byteLength / FILE_BYTES) * BLOCK_BYTES,
    pieces: (options) => streamBlocks(tensor, rowBytes, options),
  };
}

async function* streamBlocks(
  span: FileSpan,
  rowBytes: number,
  { from = 0, to, pieceBytes = PIECE_BYTES, signal, meter }: StreamOptions,
): Pieces {
  const inFile = (bytes: number) => (bytes / BLOCK_BYTES) * FILE_BYTES;
  const rowsPerPiece = Math.max(1, Math.floor(pieceBytes / rowBytes));
  const range = {
    from: inFile(from),
    to: to === undefined ? span.byteLength : inFile(to),
    pieceBytes: inFile(rowsPerPiece * rowBytes),
  };
  let offset = 0;
  for await (const piece of streamSpan(span, { ...range, signal })) {
    const bytes = withHalfwords(piece.bytes);
    meter?.add(bytes.byteLength, span.source.name);
    yield { offset, bytes };
    offset += bytes.byteLength;
  }
}

function withHalfwords(blocks: Bytes): Bytes {
  const out = new Uint8Array((blocks.byteLength / FILE_BYTES) * BLOCK_BYTES);
  for (let from = 0, to = 0; from < blocks.byteLength; from += FILE_BYTES, to += BLOCK_BYTES) {
    out[to] = blocks[from];
    out.set(blocks.subarray(from + 1, from + FILE_BYTES), to + 2);
  }
  return out;
}
