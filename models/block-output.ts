/**
 * From what a block computed to the residual stream: through its output projection, then as it is,
 * scaled, or normalised. Owns where the norm after a block stands.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import { rmsNormResidual } from "../kernels/rms-norm-residual.ts";
import type { DecoderSpec } from "./decoder.ts";
import type { GraphBuilder } from "./graph.ts";
import { keptWhileSame, type RowCount } from "./step-sizes.ts";
import type { Weight } from "./weights.ts";

export interface BlockOutput {
  readonly projection: Weight;
  readonly bias?: Weight;
  /** Of the norm after the block, where there is one. */
  readonly norm?: Weight;
  /** What is projected. */
  readonly x: BufferSlice;
  readonly rows: RowCount;
  readonly hidden: BufferSlice;
  /** Takes what is to be normalised. */
  readonly projected: BufferSlice;
}

export function addToResidual(
  graph: GraphBuilder,
  { normEps: eps, residualScale: scale }: DecoderSpec,
  { projection, bias, norm, x, rows, hidden, projected }: BlockOutput,
): void {
  const added = bias && { bias: bias.shards[0].slice };
  const epilogue = { bias: bias !== undefined };
  if (!norm) {
    const tail = scale === undefined ? "residual" : "scaled_residual";
    graph.matmul(projection, { ...epilogue, tail }, { x, out: hidden, ...added }, { rows, scale });
    return;
  }
  graph.matmul(
    projection,
    { ...epilogue, tail: "store" },
    { x, out: projected, ...added },
    { rows },
  );
  graph.add(
    rmsNormResidual,
    { x: projected, weight: norm.shards[0].slice, out: hidden },
    keptWhileSame((step) =>
      step[rows] === 0 ? undefined : { T: step[rows], D: norm.columns, eps },
    ),
  );
}
