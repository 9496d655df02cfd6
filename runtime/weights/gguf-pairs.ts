/**
 * Gates and values that a GGUF file has in two tensors, as the one tensor that Hugging Face has: of each
 * matrix the gates, below them their values. Copies no more than a piece at a time.
 */
import type { Bytes } from "./byte-source.ts";
import type { WeightTensor } from "./checkpoint.ts";
import { storedBytes } from "./dtype.ts";
import { inStep } from "./int4-matrix.ts";
import { PIECE_BYTES, type Pieces, type StreamOptions, streamTensor } from "./stream.ts";

/**
 * @param shape Of both together.
 * @param matrices So many, each with as many gates as values.
 */
export function paired(
  name: string,
  [gates, values]: readonly [WeightTensor, WeightTensor],
  shape: readonly number[],
  matrices: number,
): WeightTensor {
  const half = gates.byteLength / matrices;
  const rowBytes = storedBytes(gates.dtype, shape.at(-1)!);
  return {
    ...gates,
    ...{ name, shape, separated: true },
    byteLength: 2 * gates.byteLength,
    pieces: (options) => streamPairs([gates, values], { half, rowBytes }, options),
  };
}

/** @param options `from` and `to` lie between matrices. */
async function* streamPairs(
  halves: readonly WeightTensor[],
  { half, rowBytes }: { half: number; rowBytes: number },
  options: StreamOptions,
): Pieces {
  const { from = 0, to = 2 * halves[0].byteLength, pieceBytes = PIECE_BYTES } = options;
  const matricesPerPiece = Math.floor(pieceBytes / (2 * half));
  if (matricesPerPiece === 0) {
    yield* streamInTurn(halves, { half, rowBytes }, { ...options, from, to, pieceBytes });
    return;
  }
  const range = { from: from / 2, to: to / 2, pieceBytes: matricesPerPiece * half };
  let offset = 0;
  for await (const pieces of inStep(
    halves.map((tensor) => streamTensor(tensor, { ...options, ...range })),
  )) {
    const bytes = alternating(pieces, half);
    yield { offset, bytes };
    offset += bytes.byteLength;
  }
}

/** Where gates and values of a matrix are more than a piece. */
async function* streamInTurn(
  halves: readonly WeightTensor[],
  { half, rowBytes }: { half: number; rowBytes: number },
  options: StreamOptions & Required<Pick<StreamOptions, "from" | "to" | "pieceBytes">>,
): Pieces {
  const pieceBytes = Math.max(1, Math.floor(options.pieceBytes / rowBytes)) * rowBytes;
  let offset = 0;
  for (let at = options.from / 2; at < options.to / 2; at += half) {
    for (const tensor of halves) {
      const range = { from: at, to: at + half, pieceBytes };
      for await (const { bytes } of streamTensor(tensor, { ...options, ...range })) {
        yield { offset, bytes };
        offset += bytes.byteLength;
      }
    }
  }
}

function alternating(pieces: readonly Bytes[], half: number): Bytes {
  const out = new Uint8Array(2 * pieces[0].byteLength);
  for (let at = 0; at < pieces[0].byteLength; at += half) {
    pieces.forEach((bytes, i) => {
      out.set(bytes.subarray(at, at + half), 2 * at + i * half);
    });
  }
  return out;
}
