/** The matrices of a model to be tuned: one for all layers that have it, with the weights of them all. */
import type { GraphNode } from "../../models/graph.ts";
import { matrixKey } from "../../models/matrix-use.ts";
import type { TunableMatrix } from "./matrix-bench.ts";

/**
 * @param maxRows Of one step: token rows, and rows that get logits.
 * @returns Those that read most come first.
 */
export function tunableMatrices(
  nodes: readonly GraphNode[],
  maxRows: { readonly T: number; readonly R: number },
): TunableMatrix[] {
  const matrices = new Map<string, TunableMatrix>();
  for (const { matrix, form } of nodes) {
    // The last MLP is there in two forms.
    if (!matrix || form === "T") continue;
    const { weight, rows, ...use } = matrix;
    const known = matrices.get(matrixKey(use));
    matrices.set(matrixKey(use), {
      ...use,
      weights: [...(known?.weights ?? []), weight],
      maxRows: Math.max(known?.maxRows ?? 0, maxRows[rows]),
    });
  }
  const bytes = ({ weights }: TunableMatrix) =>
    weights.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return [...matrices.values()].sort((a, b) => bytes(b) - bytes(a));
}
