/** The matrix shapes of f32 rows, of the sizes that every device starts with. */
import { broadcastShapes } from "./matmul-broadcast.ts";
import { matvecShape, smallMShape } from "./matmul-few-rows.ts";
import type { MatmulShape, MatmulShapeName } from "./matmul-shape.ts";
import { subgroupMatvecShape } from "./matmul-subgroup.ts";
import { tileShape } from "./matmul-tile.ts";

/** What every device starts with. */
export const matmulShapes = {
  gemv: matvecShape,
  gemv_subgroup8: subgroupMatvecShape(8),
  gemv_subgroup16: subgroupMatvecShape(16),
  gemv_subgroup32: subgroupMatvecShape(32),
  gemv_subgroup64: subgroupMatvecShape(64),
  small_m: smallMShape,
  tile: tileShape,
  ...broadcastShapes,
} as const satisfies Partial<Record<MatmulShapeName, MatmulShape>>;
