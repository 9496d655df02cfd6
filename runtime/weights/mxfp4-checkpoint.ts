/**
 * A safetensors checkpoint whose stacks of experts are MXFP4, as gpt-oss has them: answers for X from
 * X_blocks and X_scales. Owns their shapes and the order of their nibbles; hands on all other tensors.
 *
 *   X_blocks [E, rows, columns / 32, 16] u8, the lower nibble first
 *   X_scales [E, rows, columns / 32] u8, exponents of two, 127 more than they are
 *
 * @see kernels/formats/mxfp4.ts
 */
import { bringPackedFormats } from "../../kernels/packed-formats.ts";
import { WeftError } from "../errors.ts";
import {
  type Checkpoint,
  missingTensor,
  type TensorEntry,
  type WeightTensor,
} from "./checkpoint.ts";
import { storedBytes } from "./dtype.ts";
import { asWords, inStep } from "./int4-matrix.ts";
import { PIECE_BYTES, type Pieces, type StreamOptions, streamSpan } from "./stream.ts";

bringPackedFormats();

const BLOCK = 32;
/** Of a block as it leaves: the exponent, and eight of nibbles. */
const HALFWORDS = 9;

export class Mxfp4Checkpoint implements Checkpoint {
  readonly #files: Checkpoint;

  constructor(files: Checkpoint) {
    this.#files = files;
  }

  get location(): string {
    return this.#files.location;
  }

  get tensors(): ReadonlyMap<string, TensorEntry> {
    return this.#files.tensors;
  }

  has(name: string): boolean {
    return this.#files.has(name) || this.tensors.has(`${name}_blocks`);
  }

  tensor(name: string, shape?: readonly number[]): WeightTensor {
    const blocks = this.tensors.get(`${name}_blocks`);
    if (!blocks) return this.#files.tensor(name, shape);
    const scales = this.tensors.get(`${name}_scales`);
    if (!scales) throw missingTensor(`${name}_scales`, this);
    const [E, rows, numBlocks] = blocks.shape;
    const columns = BLOCK * numBlocks;
    const wanted = shape ?? [E, rows, columns];
    requireBytes(blocks, [...wanted.slice(0, -1), wanted.at(-1)! / BLOCK, BLOCK / 2]);
    requireBytes(scales, [...wanted.slice(0, -1), wanted.at(-1)! / BLOCK]);
    const { source, offset } = blocks;
    const byteLength = E * rows * storedBytes("mxfp4", columns);
    const pieces = (options: StreamOptions) => streamBlocks(blocks, scales, E * rows, options);
    return { name, source, offset, shape: wanted, dtype: "mxfp4", byteLength, pieces };
  }

  close(): Promise<void> {
    return this.#files.close();
  }
}

async function* streamBlocks(
  blocks: TensorEntry,
  scales: TensorEntry,
  rows: number,
  { from, to, pieceBytes = PIECE_BYTES, signal, meter }: StreamOptions,
): Pieces {
  const rowBytes = 2 * HALFWORDS * (scales.byteLength / rows);
  const rowsPerPiece = Math.max(1, Math.floor(pieceBytes / rowBytes));
  const firstRow = (from ?? 0) / rowBytes;
  const endRow = (to ?? rows * rowBytes) / rowBytes;
  const parts = [blocks, scales].map((span) => {
    const bytes = span.byteLength / rows;
    const range = { from: firstRow * bytes, to: endRow * bytes };
    return streamSpan(span, { ...range, pieceBytes: rowsPerPiece * bytes, signal });
  });
  let offset = 0;
  for await (const [codes, exponents] of inStep(parts)) {
    const bytes = new Uint8Array(packed(asWords(codes), exponents).buffer);
    meter?.add(bytes.byteLength, blocks.source.name);
    yield { offset, bytes };
    offset += bytes.byteLength;
  }
}

/** Nibbles i and i + 16 of a block share a byte, where the file pairs 2·i and 2·i + 1. */
function packed(codes: Uint32Array, exponents: Uint8Array): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(exponents.length * HALFWORDS);
  for (let block = 0, at = 0; block < exponents.length; block++) {
    out[at++] = exponents[block];
    for (let word = 0; word < 2; word++) {
      const first = codes[4 * block + word];
      const second = codes[4 * block + 2 + word];
      const even = (first & 0x0f0f0f0f) | ((second & 0x0f0f0f0f) << 4);
      const odd = ((first >>> 4) & 0x0f0f0f0f) | (second & 0xf0f0f0f0);
      for (let shift = 0; shift < 32; shift += 8) {
        out[at++] = ((even >>> shift) & 0xff) | (((odd >>> shift) & 0xff) << 8);
      }
    }
  }
  return out;
}

function requireBytes(
  { name, source, dtype, shape }: TensorEntry,
  wanted: readonly number[],
): void {
  if (dtype === "U8" && shape.join() === wanted.join()) return;
  throw new WeftError(
    "bad_safetensors",
    `tensor ${name} in ${source.name} is ${dtype} of shape [${shape}], MXFP4 and config.json ask for U8 ` +
      `of [${wanted}]; the weights do not belong to this config.json`,
  );
}
