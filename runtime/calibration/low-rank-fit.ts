/** The best low-rank model of a sublayer: what `kernels/low-rank.ts` runs in its place. */
import { seededRandom } from "../../kernels/probe.ts";
import { elementProduct, type Matrix, multiply, transpose, transposeMultiply } from "./matrix.ts";
import type { Moments } from "./moments.ts";
import { regularised } from "./ridge.ts";
import { topEigen } from "./symmetric-eigen.ts";

/** y ≈ up · (down · x) */
export interface LowRank {
  /** [r,D] */
  readonly down: Matrix;
  /** [E,r], its columns orthonormal. */
  readonly up: Matrix;
}

/**
 * Of all matrices of that rank, the one with the least Σ |y − up · down · x|², by ridge regression: its
 * matrix W cut down in the metric of the inputs, not of its own elements. The outputs' directions that W
 * explains most of are the first eigenvectors V of crossᵀ · W; up is V, and down is (W · V)ᵀ.
 *
 * @throws {WeftError} `internal` where all inputs are zero.
 * @see reduced-rank regression: Izenman, J. Multivariate Analysis 5, 1975.
 */
export function fitLowRank(moments: Moments, rank: number): LowRank {
  const { cross } = moments;
  const gram = regularised(moments);
  // W has D · E elements, of which only what V meets is ever needed.
  const weights = (columns: Matrix) => gram.solve(multiply(cross, columns));
  const explained = (columns: Matrix) => transposeMultiply(cross, weights(columns));
  const { vectors } = topEigen(explained, cross.columns, rank, seededRandom(1));
  return { up: vectors, down: transpose(weights(vectors)) };
}

/**
 * Σ |y − up · down · x|² over Σ |y|², of the tokens in `moments`: 0 is exact, 1 is as good as leaving the
 * sublayer out. Of tokens that it was not fitted to, if it is to mean anything.
 */
export function relativeError({ gram, cross, energy }: Moments, { down, up }: LowRank): number {
  const explained = elementProduct(multiply(down, cross), transpose(up));
  const inner = multiply(multiply(down, gram), transpose(down));
  const added = elementProduct(inner, transposeMultiply(up, up));
  return (energy - 2 * explained + added) / energy;
}
