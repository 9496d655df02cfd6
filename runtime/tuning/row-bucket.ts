/** Kinds of row counts: a matrix has a shape for each. */
import type { MatmulShape } from "../../kernels/matmul-shape.ts";

/** Shapes compete with those for as many rows: decode alone, decode of a batch, prompts. */
export type RowBucket = "one" | "few" | "many";

/** Rows that stand for a bucket when it is measured. */
export const BUCKET_ROWS: Readonly<Record<RowBucket, number>> = { one: 1, few: 8, many: 128 };

export function bucketOf({ maxRows }: MatmulShape): RowBucket {
  if (maxRows === 1) return "one";
  return Number.isFinite(maxRows) ? "few" : "many";
}
