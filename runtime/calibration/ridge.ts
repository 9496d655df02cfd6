/** Linear models of a sublayer by least squares, kept small. */
import { Cholesky } from "./cholesky.ts";
import type { Matrix } from "./matrix.ts";
import type { Moments } from "./moments.ts";

/** Of the mean of the squares of an input. */
const REGULARISATION = 1e-3;

/** gram + λ·I, factored; λ is a thousandth of the gram's mean diagonal. */
export function regularised({ gram }: Moments): Cholesky {
  const { rows: n, values } = gram;
  let trace = 0;
  for (let i = 0; i < n; i++) trace += values[i * n + i];
  const lambda = (REGULARISATION * trace) / n;
  const shifted: Matrix = { ...gram, values: values.slice() };
  for (let i = 0; i < n; i++) shifted.values[i * n + i] += lambda;
  return new Cholesky(shifted);
}

/**
 * @returns W [D,E], the least Σ |y − Wᵀ x|² + λ |W|².
 * @throws {WeftError} `internal` where all inputs are zero.
 */
export const ridge = (moments: Moments): Matrix => regularised(moments).solve(moments.cross);
