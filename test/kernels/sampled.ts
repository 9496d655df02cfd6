// Which matrix kernels a test takes. Software drivers need seconds of CPU for each, so of the
// product format × shape × epilogue the gate takes a sample, and `npm run soak -- kernels` every pair.

import type { Kernel } from "../../kernels/kernel.ts";
import type { DeviceInfo } from "../../runtime/device.ts";
import { project } from "../harness/project.ts";
import { scale } from "../harness/soak.ts";

/**
 * Formats with and without fields with each shape, the others with one; each shape with each prologue
 * and kind of epilogue.
 */
const ON_LAVAPIPE =
  /(gemv\[(b?f\w+|q4_k)|(small_m|tile)\[q4_k)\]\.store$|(gemv\[(affine4_bf16_g64|q5_k|q8_0)|small_m\[(zeropoint4_f16_g128|q4_0)|tile\[(affine4_f16_g32|q6_k))\]\.store$|(small_m\[bf16\]\.residual|(gemv|tile)\[bf16\]\.bias_gelu_tanh)$|gemv_subgroup\d+\[(q6_k\]\.store|bf16,norm\]\.silu|f16\]\.bias_residual|q4_0\]\.silu)$|(gemv|tile)_broadcast\d\[(f32|f16|q4_k)\]\.store$|(gemv_broadcast\d\[(affine4_bf16_g64|q5_k|q8_0)|tile_broadcast\d\[(zeropoint4_f16_g128|q4_0|q6_k))\]\.store$|_broadcast\d\[(bf16,norm\]\.silu|f16\]\.bias_residual|q4_0\]\.bias_gelu_tanh)$|(gemv|small_m)\[bf16,norm\]\.(store|silu)$/;
/** Each format, shape, prologue and epilogue. */
const ON_SWIFTSHADER =
  /gemv\[(f32\]\.store|bf16\]\.bias_gelu_tanh|f16,norm\]\.bias_store|q5_k\]\.store)$|small_m\[(f16\]\.bias_residual|f32,norm\]\.bias_silu|q4_k\]\.store)$|tile\[(bf16\]\.silu|f16\]\.residual|q6_k\]\.store)$|_broadcast\d\[(f16\]\.bias_residual|q8_0,norm\]\.silu)$|(gemv|tile)_broadcast\d\[(f32|f16|q6_k)\]\.store$/;
/** Of the QKV matrices that rotate; rope-kv-epilogue.all.test.ts compares the bits of more. */
const ROTATING =
  /gemv_subgroup\d+\[f16,norm\]\.bias_rope_kv_f16$|small_m_broadcast\d\[f32,norm\]\.rope_kv_f32$/;
/** Sizes that tuning chooses between: fewer and more lanes and rows than the portable ones. */
const VARIANTS_ON_LAVAPIPE =
  /(gemv_(64x16x2\[affine4_f16_g32\]\.store|128x128x4\[q8_0\]\.residual|64x32x1\[bf16,norm\]\.bias_silu)|small_m4_64x16x4\[q4_k\]\.silu|tile_64x16_4x4\[q8_0\]\.residual)$/;
const VARIANTS_ON_SWIFTSHADER = /(gemv_128x128x4\[q8_0\]\.residual|tile_64x32_8x4\[f32\]\.store)$/;
/** Epilogues of few families. */
const SCALED = /gemv\[f16\]\.bias_capped_store$|tile\[bf16\]\.scaled_residual$/;
/** Of the shapes in no numeric class. */
const ANY_ORDER =
  /(gemv_any\[q4_k\]\.silu|gemv_64x64x2_any\[q8_0\]\.residual|tile_any\[q4_k\]\.silu|gemv_broadcast\d_any\[f16,norm\]\.store|tile_broadcast\d_any\[q8_0\]\.residual)$/;

/** Of stacks of experts: each way to take rows, with a norm, a gate, a bias, and fields. */
const EXPERTS =
  /(gemv_broadcast\d\[bf16,norm,slots\]\.silu|tile_broadcast\d\[q4_k,blocks\]\.store)$/;
const EXPERTS_ON_LAVAPIPE = /(gemv\[mxfp4,slots\]\.bias_clamped_swiglu|tile\[bf16,blocks\]\.silu)$/;

/**
 * Kernels that are no matrix kernels are all taken, where the driver has their features; those for
 * subgroups where it has their size.
 */
export function sampled({ name, features }: Kernel, info: DeviceInfo): boolean {
  if (!features.every((feature) => info.features.includes(feature))) return false;
  const subgroup = /_(?:subgroup|broadcast)(\d+)/.exec(name);
  if (subgroup && Number(subgroup[1]) !== info.subgroupSize) return false;
  if (name.startsWith("head_matmul") && scale("kernels", 0, 1) === 0) {
    return project() === "swiftshader" ? name.includes("q8_0") : /bf16\]|q8_0|q4_0/.test(name);
  }
  // What caps and sinks do has nothing to do with how the cache is stored.
  if (/^attention.*(capped|sinks)/.test(name)) {
    return scale("kernels", 0, 1) === 1 || !/\[(f32|i8)\]/.test(name);
  }
  if (!name.startsWith("matmul")) return true;
  if (scale("kernels", 0, 1) === 1) return inSoak(name);
  const samples =
    project() === "lavapipe"
      ? [
          ROTATING,
          SCALED,
          ON_LAVAPIPE,
          VARIANTS_ON_LAVAPIPE,
          ANY_ORDER,
          EXPERTS,
          EXPERTS_ON_LAVAPIPE,
        ]
      : [ROTATING, ON_SWIFTSHADER, VARIANTS_ON_SWIFTSHADER, EXPERTS];
  return samples.some((sample) => sample.test(name));
}

/**
 * What x goes through, how weights decode and what becomes of a sum meet in a shape alone: so each
 * shape with every format, and with every prologue and epilogue, not the product of them all.
 */
function inSoak(name: string): boolean {
  if (/,?(slots|blocks)\]/.test(name)) return true;
  const [, shape = "", format = "", norm, epilogue] =
    /^matmul\.(\w+)\[(\w+)(,norm)?\]\.(\w+)$/.exec(name) ?? [];
  const isVaried = norm !== undefined || epilogue !== "store";
  // Of the sizes that tuning chooses between, formats with each number of pieces and of fields.
  if (/\d+x\d+/.test(shape)) return isVaried || /^(f32|f16|q8_0|q4_0|q4_k|q6_k)$/.test(format);
  return !isVaried || format === "bf16" || /rope_kv|_int8/.test(name);
}
