// Pearson's chi-square test of draws against a distribution.

/** Below this expected count the statistic is not chi-square distributed; such tokens are pooled. */
const MIN_EXPECTED = 5;

export interface ChiSquare {
  readonly statistic: number;
  readonly degreesOfFreedom: number;
  /** How likely draws from the distribution deviate at least this much. */
  readonly pValue: number;
}

/**
 * @param counts Draws per token.
 * @param weights Probabilities per token, of any scale. Rare tokens are pooled with the next ones by
 *   id, so that a drift with the id is still seen.
 */
export function chiSquare(counts: ArrayLike<number>, weights: Float64Array): ChiSquare {
  let draws = 0;
  for (let i = 0; i < counts.length; i++) draws += counts[i]!;
  const perWeight = draws / weights.reduce((sum, weight) => sum + weight, 0);
  const bins: { expected: number; observed: number }[] = [];
  let pool = { expected: 0, observed: 0 };
  for (let i = 0; i < weights.length; i++) {
    const expected = weights[i]! * perWeight;
    const observed = counts[i]!;
    if (expected >= MIN_EXPECTED) {
      bins.push({ expected, observed });
      continue;
    }
    pool.expected += expected;
    pool.observed += observed;
    if (pool.expected >= MIN_EXPECTED) {
      bins.push(pool);
      pool = { expected: 0, observed: 0 };
    }
  }
  const last = bins.at(-1);
  if (last) {
    last.expected += pool.expected;
    last.observed += pool.observed;
  }
  const statistic = bins.reduce(
    (sum, { expected, observed }) => sum + (observed - expected) ** 2 / expected,
    0,
  );
  const degreesOfFreedom = bins.length - 1;
  return { statistic, degreesOfFreedom, pValue: gammaUpper(degreesOfFreedom / 2, statistic / 2) };
}

/** Regularised upper incomplete gamma function Q(a, x). */
export function gammaUpper(a: number, x: number): number {
  if (x <= 0) return 1;
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; term > sum * 1e-16; n++) sum += term *= x / (a + n);
    return 1 - scale * sum;
  }
  // The continued fraction, from its tail.
  let tail = 0;
  for (let n = 2000; n > 0; n--) tail = (n * (n - a)) / (x + 2 * n + 1 - a - tail);
  return scale / (x + 1 - a - tail);
}

/** Stirling's series, after shifting the argument to where it converges. */
function logGamma(a: number): number {
  let shift = 0;
  let x = a;
  for (; x < 20; x++) shift += Math.log(x);
  const series = 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5);
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
