/** Eigenvectors of symmetric matrices: all of a small one, the first of a large one. */
import { firstColumns, type Matrix, multiply, transposeMultiply, zeros } from "./matrix.ts";

export interface Eigen {
  /** Falling. */
  readonly values: Float64Array;
  /** [n,k], one column for each value, orthonormal. */
  readonly vectors: Matrix;
}

/** Rounds over all pairs; convergence is quadratic, so few are ever needed. */
const MAX_SWEEPS = 60;

/**
 * All of them, by rotations of two dims at a time that make their product zero. For n up to a few hundred.
 * @see Golub and Van Loan, Matrix Computations, §8.5 (cyclic Jacobi).
 */
export function symmetricEigen(matrix: Matrix): Eigen {
  const { rows: n } = matrix;
  const a = matrix.values.slice();
  // Where rounding left the triangles unlike, the lower one counts.
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) a[j * n + i] = a[i * n + j];
  }
  const vectors = zeros(n, n);
  for (let i = 0; i < n; i++) vectors.values[i * n + i] = 1;
  for (let sweep = 0; sweep < MAX_SWEEPS && offDiagonal(a, n) > 0; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) rotate(a, vectors.values, n, p, q);
    }
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j] - a[i * n + i]);
  const sorted = zeros(n, n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) sorted.values[i * n + k] = vectors.values[i * n + order[k]];
  }
  return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors: sorted };
}

/** Σ of squares off the diagonal, 0 where they are nothing beside the diagonal. */
function offDiagonal(a: Float64Array, n: number): number {
  let off = 0;
  let diagonal = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i === j) diagonal += a[i * n + j] ** 2;
      else off += a[i * n + j] ** 2;
    }
  }
  return off <= diagonal * 1e-30 ? 0 : off;
}

function rotate(a: Float64Array, vectors: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q];
  if (apq === 0) return;
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let k = 0; k < n; k++) turn(a, k * n + p, k * n + q, c, s);
  for (let k = 0; k < n; k++) turn(a, p * n + k, q * n + k, c, s);
  for (let k = 0; k < n; k++) turn(vectors, k * n + p, k * n + q, c, s);
  a[p * n + q] = 0;
  a[q * n + p] = 0;
}

function turn(values: Float64Array, i: number, j: number, c: number, s: number): void {
  const x = values[i];
  const y = values[j];
  values[i] = c * x - s * y;
  values[j] = s * x + c * y;
}

/** Columns beyond those asked for: the last ones wanted come as fast as the gap behind these is wide. */
const SPARE_COLUMNS = 8;
const MAX_ROUNDS = 60;
/**
 * Relative change of the sum of the values at which they are found. Where the last ones are nearly equal,
 * vectors may still turn among each other, and explain as much.
 */
const FOUND = 1e-4;

/**
 * The largest `count` values of a positive semidefinite matrix, and their vectors.
 * Subspace iteration: the matrix itself is never asked for, only its product with a few columns.
 *
 * @param apply The matrix times [n,k].
 * @param random Uniform; where the search begins, and little else.
 * @see Halko et al., arXiv:0909.4061 §4.5.
 */
export function topEigen(
  apply: (columns: Matrix) => Matrix,
  n: number,
  count: number,
  random: () => number,
): Eigen {
  const wanted = Math.min(n, count);
  const k = Math.min(n, wanted + SPARE_COLUMNS);
  let basis = zeros(n, k);
  for (let i = 0; i < basis.values.length; i++) basis.values[i] = random() - 0.5;
  orthonormalise(basis);
  let sum = 0;
  for (let round = 0; ; round++) {
    const image = apply(basis);
    const ritz = symmetricEigen(transposeMultiply(basis, image));
    const values = ritz.values.subarray(0, wanted);
    const before = sum;
    sum = values.reduce((total, value) => total + value, 0);
    if (round === MAX_ROUNDS || Math.abs(sum - before) <= FOUND * Math.abs(sum)) {
      return { values, vectors: firstColumns(multiply(basis, ritz.vectors), wanted) };
    }
    basis = image;
    orthonormalise(basis);
  }
}

/** Gram-Schmidt, twice, as once leaves what rounding left. A column of nothing becomes zero. */
function orthonormalise({ rows, columns, values }: Matrix): void {
  const product = (a: number, b: number) => {
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += values[i * columns + a] * values[i * columns + b];
    return sum;
  };
  const add = (to: number, factor: number, from: number) => {
    for (let i = 0; i < rows; i++) values[i * columns + to] += factor * values[i * columns + from];
  };
  for (let k = 0; k < columns; k++) {
    const length = Math.sqrt(product(k, k));
    for (let round = 0; round < 2; round++) {
      for (let j = 0; j < k; j++) add(k, -product(k, j), j);
    }
    const left = Math.sqrt(product(k, k));
    add(k, left > 1e-12 * length ? 1 / left - 1 : -1, k);
  }
}
