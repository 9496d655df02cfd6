/** A list of numbers in five. */

export interface Distribution {
  /** How many values there were; the others are 0 of none. */
  readonly n: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Quantiles are nearest rank: values that occurred. */
export function distribution(values: ArrayLike<number>): Distribution {
  const ascending = Float64Array.from(values).sort();
  const n = ascending.length;
  const mean = n === 0 ? 0 : ascending.reduce((sum, value) => sum + value, 0) / n;
  const at = (share: number) => quantile(ascending, share);
  return { n, mean, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** The least value that a share of all does not exceed; 0 of none. */
export const quantile = (ascending: ArrayLike<number>, share: number): number =>
  ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? 0;
