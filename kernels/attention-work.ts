/**
 * Work lists of one attention step: which rows run split decode, which run prefill, over which tiles.
 * Pure host arithmetic; made once per step and KV group, shared by all layers of the group.
 */
import { checkKvShape, type KvDims } from "./kv-layout.ts";

/** Positions per KV tile. Part of the numeric class: another size gives other bits. */
export const KV_TILE = 64;
/** Rows of one sequence that a prefill workgroup takes together. */
export const QUERY_ROWS = 16;
/** Query heads that share a vec4. */
export const HEAD_QUAD = 4;

/** Consecutive rows of the step that are consecutive tokens of one sequence. */
export interface AttentionRange {
  readonly firstRow: number;
  readonly numRows: number;
  /** Row of `block_table`. */
  readonly sequence: number;
  /** Absolute position of `firstRow`. */
  readonly firstPosition: number;
}

export interface AttentionWorkOptions {
  /** Positions a row sees, itself included; 0 for all. */
  readonly window: number;
  /**
   * Most KV tiles that the `partials` buffer holds. Rows beyond run as prefill, with the same bits.
   * 0 sends every row there.
   */
  readonly maxDecodeTiles: number;
}

export interface AttentionWork {
  /** `decode_tiles [W,4]`: row, sequence, position, tile. */
  readonly decodeTiles: Uint32Array;
  /** `decode_rows [U,3]`: row, its first tile in decode_tiles, number of tiles. */
  readonly decodeRows: Uint32Array;
  /** `query_tiles [Q,4]`: first row, number of rows, sequence, first position. */
  readonly queryTiles: Uint32Array;
  readonly dims: AttentionWorkDims;
}

/** W, U and Q size the grids; the others only tell `cost` how much data there is. */
export type AttentionWorkDims = {
  readonly W: number;
  readonly U: number;
  readonly Q: number;
  /** Σ positions seen over decode rows. */
  readonly decode_positions: number;
  /** Σ blocks touched over decode tiles. */
  readonly decode_blocks: number;
  /** Σ rows of query tiles. */
  readonly prefill_rows: number;
  /** Σ over query tiles of rows × KV tiles. */
  readonly prefill_row_tiles: number;
  /** Σ over query tiles of positions that any of its rows sees. */
  readonly prefill_positions: number;
  /** Σ over query tiles and KV tiles of blocks touched. */
  readonly prefill_blocks: number;
  /** Σ over rows of query tiles, each by itself: KV tiles, positions seen, blocks touched. */
  readonly row_tiles: number;
  readonly row_positions: number;
  readonly row_blocks: number;
};

/** Ranges at least this long run as prefill; shorter ones as single rows with split KV. */
const PREFILL_ROWS = 4;

/** @param blockSize B */
export function attentionWork(
  ranges: readonly AttentionRange[],
  blockSize: number,
  { window, maxDecodeTiles }: AttentionWorkOptions,
): AttentionWork {
  const decodeTiles: number[] = [];
  const decodeRows: number[] = [];
  const queryTiles: number[] = [];
  const sums = {
    decode_positions: 0,
    decode_blocks: 0,
    prefill_rows: 0,
    prefill_row_tiles: 0,
    prefill_positions: 0,
    prefill_blocks: 0,
    row_tiles: 0,
    row_positions: 0,
    row_blocks: 0,
  };

  const addDecodeRow = (row: number, sequence: number, position: number) => {
    const span = spanOf(position, position, window, blockSize);
    decodeRows.push(row, decodeTiles.length / 4, span.numTiles);
    for (let i = 0; i < span.numTiles; i++) {
      decodeTiles.push(row, sequence, position, span.firstTile + i);
    }
    sums.decode_positions += span.positions;
    sums.decode_blocks += span.blocks;
  };
  const addQueryTile = (row: number, numRows: number, sequence: number, position: number) => {
    const span = spanOf(position, position + numRows - 1, window, blockSize);
    queryTiles.push(row, numRows, sequence, position);
    sums.prefill_rows += numRows;
    sums.prefill_row_tiles += numRows * span.numTiles;
    sums.prefill_positions += span.positions;
    sums.prefill_blocks += span.blocks;
    for (let i = 0; i < numRows; i++) {
      const own = spanOf(position + i, position + i, window, blockSize);
      sums.row_tiles += own.numTiles;
      sums.row_positions += own.positions;
      sums.row_blocks += own.blocks;
    }
  };

  for (const { firstRow, numRows, sequence, firstPosition } of ranges) {
    const last = spanOf(firstPosition, firstPosition + numRows - 1, window, blockSize);
    const fits = decodeTiles.length / 4 + numRows * last.numTiles <= maxDecodeTiles;
    if (numRows < PREFILL_ROWS && fits) {
      for (let i = 0; i < numRows; i++) addDecodeRow(firstRow + i, sequence, firstPosition + i);
      continue;
    }
    for (let i = 0; i < numRows; i += QUERY_ROWS) {
      const rows = Math.min(QUERY_ROWS, numRows - i);
      addQueryTile(firstRow + i, rows, sequence, firstPosition + i);
    }
  }
  return {
    decodeTiles: new Uint32Array(decodeTiles),
    decodeRows: new Uint32Array(decodeRows),
    queryTiles: new Uint32Array(queryTiles),
    dims: {
      W: decodeTiles.length / 4,
      U: decodeRows.length / 3,
      Q: queryTiles.length / 4,
      ...sums,
    },
  };
}

/** What rows at `first` to `last` see together: every position from the first row's window on. */
function spanOf(first: number, last: number, window: number, blockSize: number) {
  const low = firstSeen(first, window);
  const firstTile = Math.floor(low / KV_TILE);
  return {
    firstTile,
    numTiles: Math.floor(last / KV_TILE) - firstTile + 1,
    positions: last + 1 - low,
    blocks: Math.floor(last / blockSize) - Math.floor(low / blockSize) + 1,
  };
}

/** First position that a row sees. */
export const firstSeen = (position: number, window: number): number =>
  window === 0 ? 0 : Math.max(0, position + 1 - window);

export interface AttentionShape extends KvDims {
  readonly N: number;
}

/**
 * Dims that depend on the model alone: G quads of query heads per KV head, J in all, Z rows of a partial
 * (m, l and H outputs). `partials` needs 16·J·Z bytes per KV tile.
 * @throws {KernelError} "bad_shape"
 */
export function attentionShapeDims(shape: AttentionShape): { G: number; J: number; Z: number } {
  checkKvShape(shape);
  const { N, K, H } = shape;
  const G = Math.ceil(N / K / HEAD_QUAD);
  return { G, J: K * G, Z: H + 2 };
}
