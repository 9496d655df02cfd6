// Which matrix kernels a test takes. Software drivers need seconds of CPU for each, so of the
// product format × shape × epilogue the gate takes a sample; `npm run soak -- kernels` takes all.

import type { Kernel } from "../../kernels/kernel.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";

/** Each format with each shape, and each shape with each kind of epilogue. */
const ON_LAVAPIPE =
  /\.store$|^matmul\.\w+\[bf16\]\.(residual|silu|bias_gelu_tanh)$|gemv\[f16\]\.bias/;
/** Each format, shape and epilogue. */
const ON_SWIFTSHADER =
  /gemv\[(f32\]\.store|bf16\]\.bias_gelu_tanh|f16\]\.bias_store)$|small_m\[(f16\]\.bias_residual|f32\]\.bias_silu)$|tile\[(bf16\]\.silu|f16\]\.residual)$/;

/** Kernels that are no matrix kernels are all taken, where the driver has their features. */
export function sampled({ name, features }: Kernel): boolean {
  if (features.length > 0 && project() !== "lavapipe") return false;
  if (!name.startsWith("matmul") || scale("kernels", 0, 1) === 1) return true;
  return (project() === "lavapipe" ? ON_LAVAPIPE : ON_SWIFTSHADER).test(name);
}
