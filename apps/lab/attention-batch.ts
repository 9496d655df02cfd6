/** Sequences over a paged cache at a model's sizes: dims, work lists and block tables of one step. */
import { attentionShapeDims, attentionWork, type Dims } from "../../kernels/index.ts";
import type { Inputs } from "./contents.ts";
import type { ModelShape } from "./model-shapes.ts";

const B = 32;

/** One sequence per range. Single rows run as split decode, more as prefill. */
export function attentionBatch(
  { numHeads: N, numKvHeads: K, headDim: H }: ModelShape,
  ranges: readonly { readonly firstPosition: number; readonly numRows: number }[],
): { readonly dims: Dims; inputs(): Inputs } {
  let T = 0;
  const sequences = ranges.map(({ firstPosition, numRows }, sequence) => {
    const firstRow = T;
    T += numRows;
    return { firstRow, numRows, sequence, firstPosition };
  });
  const work = attentionWork(sequences, B, { window: 0, maxDecodeTiles: Number.POSITIVE_INFINITY });
  const lengths = ranges.map(({ firstPosition, numRows }) => firstPosition + numRows);
  const S = ranges.length;
  const M = Math.ceil(Math.max(...lengths) / B);
  const dims = {
    ...{ T, S, M, P: 1 + S * M, N, K, H, B, window: 0, scale: 1 / Math.sqrt(H) },
    ...attentionShapeDims({ N, K, H, B }),
    ...work.dims,
  };
  // Neighbours in a sequence are not neighbours in memory: blocks are dealt out in turn.
  const block = (sequence: number, index: number) => 1 + index * S + sequence;
  return {
    dims,
    inputs: () => ({
      block_table: Uint32Array.from({ length: S * M }, (_, i) => block(Math.floor(i / M), i % M)),
      decode_tiles: work.decodeTiles,
      decode_rows: work.decodeRows,
      query_tiles: work.queryTiles,
    }),
  };
}
