/**
 * Matrix shapes that add in whatever order suits them: what the numeric class of matmul.ts costs is
 * measured against these, and an engine that may vary runs them. They are the shapes of the class
 * without its rule: no sums of chunks, so fewer registers, and fewer meetings of lanes.
 */
import { anyOrderBroadcastShapes } from "./matmul-broadcast.ts";
import { fewRows, fewRowsShape, oneRow } from "./matmul-few-rows.ts";
import type { MatmulShape } from "./matmul-shape.ts";
import { portableTile, tileOf } from "./matmul-tile.ts";

const anyOrder = true;

export const anyOrderShapes: readonly MatmulShape[] = [
  fewRowsShape("gemv_any", { ...oneRow, anyOrder }),
  fewRowsShape("gemv_64x64x2_any", { ...oneRow, chunkLanes: 64, rowsPerLane: 2, anyOrder }),
  fewRowsShape("small_m_any", { ...fewRows, anyOrder }),
  tileOf("tile_any", { ...portableTile, anyOrder }),
  // Its registers hold four times the sums: too many where a chunk needs as many again.
  tileOf("tile_64x64_8x8_any", {
    ...{ outputs: 64, rows: 64, laneOutputs: 8, laneRows: 8, anyOrder },
  }),
  ...anyOrderBroadcastShapes,
];
