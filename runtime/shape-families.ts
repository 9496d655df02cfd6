/** Matrix shapes by what they serve together, as far as every model may run them. */
import type { MatmulShape } from "../kernels/matmul-shape.ts";
import { matmulShapes } from "../kernels/matmul-shapes.ts";
import type { MatmulChoice } from "../models/matmul-choice.ts";
import type { DeviceInfo } from "./device.ts";

const { gemv, small_m, tile } = matmulShapes;

/** What rows are rounded to where weights are integers too: a numeric class each. */
export type Activations = "f32" | "i8";

export type AgreeingShapes = Omit<MatmulChoice, "fusesRope">;

/** Shapes that go together: kernels for one row, the best first, and kernels for more, by their rows. */
export interface Family {
  readonly one: readonly MatmulShape[];
  readonly more: readonly MatmulShape[];
}

/** The best first. The last runs on every device. */
export function familiesFor({ software, subgroupSize }: DeviceInfo): Family[] {
  const named = (name: string) =>
    Object.values<MatmulShape>(matmulShapes).filter((shape) => shape.name === name);
  const portable = { one: [...named(`gemv_subgroup${subgroupSize}`), gemv], more: [small_m, tile] };
  const broadcast = {
    one: named(`gemv_broadcast${subgroupSize}`),
    more: ["small_m", "tile"].flatMap((rows) => named(`${rows}_broadcast${subgroupSize}`)),
  };
  return software && broadcast.more.length > 0 ? [broadcast, portable] : [portable];
}
