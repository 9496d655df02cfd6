/** Linear regression with coefficients that are not negative, as costs are. */

/**
 * Σ weight · (y − coefficients · x)² at its least, where weight = 1 / (coefficients · x)²: for values
 * that scatter in proportion to their size. Sums come out right: Σ y = Σ coefficients · x, near enough.
 *
 * @param xs One row for each y, all of one length.
 * @see Coordinate descent for non-negative least squares: Franc et al., CAIP 2005.
 */
export function nonNegativeFit(
  xs: readonly (readonly number[])[],
  ys: readonly number[],
): number[] {
  let coefficients = xs[0].map(() => 0);
  let weights = ys.map((y) => 1 / y ** 2);
  for (let round = 0; round < REWEIGHTINGS; round++) {
    coefficients = descend(xs, ys, weights, coefficients);
    weights = xs.map((x) => 1 / Math.max(Number.MIN_VALUE, dot(x, coefficients)) ** 2);
  }
  return coefficients;
}

const REWEIGHTINGS = 12;
/** Few columns, so that many sweeps over them cost little. */
const SWEEPS = 2000;

function descend(
  xs: readonly (readonly number[])[],
  ys: readonly number[],
  weights: readonly number[],
  start: readonly number[],
): number[] {
  const coefficients = [...start];
  const sum = (term: (row: number) => number) =>
    xs.reduce((total, _, row) => total + weights[row] * term(row), 0);
  const gram = start.map((_, i) => start.map((_, j) => sum((row) => xs[row][i] * xs[row][j])));
  const moments = start.map((_, i) => sum((row) => xs[row][i] * ys[row]));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (let i = 0; i < coefficients.length; i++) {
      // A column of zeros tells nothing of its coefficient.
      if (gram[i][i] === 0) continue;
      const residual = moments[i] - dot(gram[i], coefficients);
      coefficients[i] = Math.max(0, coefficients[i] + residual / gram[i][i]);
    }
  }
  return coefficients;
}

export const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * b[i], 0);
