/**
 * Matrix shapes to choose from beside the portable ones: the same kernels in other sizes, all of the
 * same numeric class. Which is fastest depends on the GPU and the matrix; runtime/tuning/ finds out.
 */
import { type FewRowsSizes, fewRowsShape } from "./matmul-few-rows.ts";
import type { MatmulShape } from "./matmul-shape.ts";
import { type TileSizes, tileOf } from "./matmul-tile.ts";

type Lanes = FewRowsSizes["lanes"];
type ChunkLanes = FewRowsSizes["chunkLanes"];
type RowsPerLane = FewRowsSizes["rowsPerLane"];

/** For one row, `gemv_LANESxCHUNKLANESxROWS`: few rows a lane keep small matrices parallel. */
const gemv = (lanes: Lanes, chunkLanes: ChunkLanes, rowsPerLane: RowsPerLane): MatmulShape =>
  fewRowsShape(`gemv_${lanes}x${chunkLanes}x${rowsPerLane}`, {
    ...{ lanes, chunkLanes, rowsPerLane, numRows: 1, maxRows: 1 },
  });

/** For up to 16 rows, so many of which share a read of the weights. */
const smallM = (
  numRows: number,
  lanes: Lanes,
  chunkLanes: ChunkLanes,
  rowsPerLane: RowsPerLane,
): MatmulShape =>
  fewRowsShape(`small_m${numRows}_${lanes}x${chunkLanes}x${rowsPerLane}`, {
    ...{ lanes, chunkLanes, rowsPerLane, numRows, maxRows: 16 },
  });

/** For many rows, `tile_OUTPUTSxROWS_LANEOUTPUTSxLANEROWS`. Gated, tiles of 64 outputs do not fit. */
const tile = (
  outputs: TileSizes["outputs"],
  rows: TileSizes["rows"],
  laneOutputs: TileSizes["laneOutputs"],
  laneRows: TileSizes["laneRows"],
): MatmulShape =>
  tileOf(`tile_${outputs}x${rows}_${laneOutputs}x${laneRows}`, {
    ...{ outputs, rows, laneOutputs, laneRows },
  });

export const shapeVariants: readonly MatmulShape[] = [
  gemv(64, 16, 2),
  gemv(64, 16, 4),
  gemv(64, 32, 1),
  gemv(64, 32, 2),
  gemv(64, 32, 8),
  gemv(64, 64, 1),
  gemv(64, 64, 2),
  gemv(64, 64, 4),
  gemv(128, 32, 2),
  gemv(128, 32, 4),
  gemv(128, 128, 2),
  gemv(128, 128, 4),
  gemv(256, 32, 4),
  gemv(256, 256, 2),
  smallM(4, 64, 16, 4),
  smallM(4, 64, 32, 2),
  smallM(4, 64, 32, 4),
  smallM(4, 64, 32, 8),
  smallM(4, 128, 32, 4),
  smallM(4, 128, 64, 4),
  smallM(8, 64, 16, 2),
  smallM(8, 64, 32, 2),
  smallM(8, 64, 64, 4),
  smallM(8, 128, 32, 2),
  smallM(8, 128, 64, 2),
  smallM(16, 64, 32, 2),
  tile(32, 16, 4, 2),
  tile(32, 32, 4, 2),
  tile(32, 64, 4, 4),
  tile(32, 64, 4, 8),
  tile(32, 64, 8, 4),
  tile(64, 16, 4, 4),
  tile(64, 32, 4, 2),
  tile(64, 32, 4, 4),
  tile(64, 32, 8, 4),
  tile(64, 64, 4, 4),
  tile(64, 64, 4, 8),
  tile(64, 64, 8, 4),
  tile(64, 64, 8, 8),
];
