/** Matrix shapes that an option asks for: `activations: "i8"`, and `invariant: false`. */
import { int8Shapes } from "../kernels/matmul.ts";
import { anyOrderShapes } from "../kernels/matmul-any-order.ts";
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import type { DeviceInfo } from "./device.ts";
import {
  type Activations,
  type AgreeingShapes,
  type Family,
  familiesFor,
} from "./shape-families.ts";

/** The matrix shapes that a sound device of this kind runs, for one row and for more. */
export function preferredShapes(
  info: DeviceInfo,
  activations: Activations = "f32",
): readonly MatmulShape[] {
  const families = [familiesFor(info)[0], ...(activations === "i8" ? [int8Family] : [])];
  return families.flatMap(({ one, more }) => [one[0], ...more]);
}

/** For rows that are rounded to int8. */
export const int8Family: Family = {
  one: [int8Shapes.gemv_int8],
  more: [int8Shapes.small_m_int8, int8Shapes.tile_int8],
};

/** What needs no agreement. */
export function anyOrderFamily({ software, subgroupSize }: DeviceInfo): AgreeingShapes {
  const named = (suffix: string) =>
    ["gemv", "small_m", "tile"].flatMap((rows) =>
      anyOrderShapes.filter(({ name }) => name === `${rows}${suffix}_any`),
    );
  const broadcast = software ? named(`_broadcast${subgroupSize}`) : [];
  return { shapes: broadcast.length > 0 ? broadcast : named(""), fusesNorm: true };
}
