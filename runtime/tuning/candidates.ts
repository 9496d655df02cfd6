/**
 * Which shapes may multiply a matrix on a device, by the number of rows. Pure: what the device then
 * makes of them is measured elsewhere.
 */
import { matmulShapes } from "../../kernels/matmul.ts";
import {
  MAX_WORKGROUP_BYTES,
  type MatmulShape,
  type MatmulWeights,
} from "../../kernels/matmul-shape.ts";
import { shapeVariants } from "../../kernels/matmul-variants.ts";
import { weightFormats } from "../../kernels/weight-format.ts";
import type { MatrixUse } from "../../models/matrix-use.ts";
import type { DeviceInfo } from "../device.ts";
import { bucketOf } from "./row-bucket.ts";

/** The norm's chunk sums of one row, and a scale for each row. */
const normBytes = ({ rowsPerGroup }: MatmulShape): number => 256 + 4 * rowsPerGroup;

/** @returns The standard shape first, then at most 15 others; no two with the same code. */
export function candidatesFor(
  info: DeviceInfo,
  use: MatrixUse,
  standard: MatmulShape,
): readonly MatmulShape[] {
  const weights = weightsOf(use, standard);
  const byCode = new Map([[standard.wgsl(weights), standard]]);
  for (const shape of [...Object.values<MatmulShape>(matmulShapes), ...shapeVariants]) {
    if (bucketOf(shape) !== bucketOf(standard) || !runsOn(info, shape, use)) continue;
    // With the norm apart it would be timed without it.
    if (use.norm && shape.prologues.length !== standard.prologues.length) continue;
    const code = shape.wgsl(weights);
    if (!byCode.has(code)) byCode.set(code, shape);
  }
  return [...byCode.values()];
}

const weightsOf = (use: MatrixUse, { hasOctets }: MatmulShape): MatmulWeights => ({
  format: weightFormats[use.format],
  rowsPerOutput: use.gated ? 2 : 1,
  octets: use.octets && hasOctets,
  rows: "all",
});

/** Whether the device has what the shape needs for the matrix. */
export function runsOn(info: DeviceInfo, shape: MatmulShape, use: MatrixUse): boolean {
  const subgroup = /_(?:subgroup|broadcast)(\d+)$/.exec(shape.name);
  if (subgroup && Number(subgroup[1]) !== info.subgroupSize) return false;
  if (!shape.features.every((feature) => info.features.includes(feature))) return false;
  // Where few rows are finished by eights, a shape that cannot would cost a kernel more.
  if (use.octets && bucketOf(shape) !== "many" && !shape.hasOctets) return false;
  const norm = use.norm && shape.prologues.includes("norm") ? normBytes(shape) : 0;
  return shape.workgroupBytes(weightsOf(use, shape)) + norm <= MAX_WORKGROUP_BYTES;
}
