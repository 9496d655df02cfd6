/**
 * Matrix kernels by the names of their shapes, all that there are. Who has a shape at hand composes with
 * matmul-kernel.ts, which knows no names.
 */
import { KernelError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";
import { anyOrderShapes } from "./matmul-any-order.ts";
import { int8MatvecShape, int8SmallMShape } from "./matmul-int8-few-rows.ts";
import { int8TileShape } from "./matmul-int8-tile.ts";
import { type MatmulComposition, matmulKernel } from "./matmul-kernel.ts";
import type { MatmulShape, MatmulShapeName } from "./matmul-shape.ts";
import { matmulShapes } from "./matmul-shapes.ts";
import { shapeVariants } from "./matmul-variants.ts";

export { matmulShapes } from "./matmul-shapes.ts";

/** For matrices of formats with integer codes, where x may be rounded to int8. */
export const int8Shapes = {
  gemv_int8: int8MatvecShape,
  small_m_int8: int8SmallMShape,
  tile_int8: int8TileShape,
} as const satisfies Partial<Record<MatmulShapeName, MatmulShape>>;

/** @returns undefined where there is none, as for a name that an older Weft has stored. */
export const shapeNamed = (name: string): MatmulShape | undefined =>
  [
    ...Object.values<MatmulShape>(matmulShapes),
    ...shapeVariants,
    ...anyOrderShapes,
    ...Object.values(int8Shapes),
  ].find((shape) => shape.name === name);

export interface MatmulVariant extends Omit<MatmulComposition, "shape"> {
  readonly shape: MatmulShapeName;
}

/** @throws {KernelError} `bad_kernel`: no such shape, or as `matmulKernel`. */
export function matmul({ shape: name, ...composition }: MatmulVariant): Kernel {
  const shape = shapeNamed(name);
  if (shape) return matmulKernel({ ...composition, shape });
  throw new KernelError(
    "bad_kernel",
    `matmul.${name}: there is no such shape; choose one of kernels/matmul-variants.ts`,
  );
}
