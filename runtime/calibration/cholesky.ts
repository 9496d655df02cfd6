/** Linear systems with a symmetric positive definite matrix. */
import { WeftError } from "../errors.ts";
import { addRow, type Matrix, zeros } from "./matrix.ts";

/** a = factor · factorᵀ, once for any number of right-hand sides. */
export class Cholesky {
  /** [n,n], zero above the diagonal. */
  readonly factor: Matrix;

  /** @param a [n,n], symmetric; only its lower triangle is read. */
  constructor(a: Matrix) {
    const { rows: n } = a;
    const factor = zeros(n, n);
    const { values } = factor;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        const rest = a.values[i * n + j] - dot(values, i * n, j * n, j);
        if (j < i) {
          values[i * n + j] = rest / values[j * n + j];
        } else if (rest > 0) {
          values[i * n + i] = Math.sqrt(rest);
        } else {
          throw new WeftError(
            "internal",
            `pivot ${i} of ${n} is ${rest}, a positive definite matrix has positive ones; regularise more`,
          );
        }
      }
    }
    this.factor = factor;
  }

  /** @returns a⁻¹ · b, of b [n,k]. */
  solve(b: Matrix): Matrix {
    const { rows: n, values } = this.factor;
    const out: Matrix = { ...b, values: b.values.slice() };
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) addRow(out, i, -values[i * n + j], out, j);
      scaleRow(out, i, 1 / values[i * n + i]);
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let j = i + 1; j < n; j++) addRow(out, i, -values[j * n + i], out, j);
      scaleRow(out, i, 1 / values[i * n + i]);
    }
    return out;
  }
}

/** Of `length` values from two places. Four sums at a time: one would wait for itself. */
function dot(values: Float64Array, a: number, b: number, length: number): number {
  const whole = length - (length % 4);
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let k = 0; k < whole; k += 4) {
    s0 += values[a + k] * values[b + k];
    s1 += values[a + k + 1] * values[b + k + 1];
    s2 += values[a + k + 2] * values[b + k + 2];
    s3 += values[a + k + 3] * values[b + k + 3];
  }
  for (let k = whole; k < length; k++) s0 += values[a + k] * values[b + k];
  return s0 + s1 + (s2 + s3);
}

function scaleRow({ columns, values }: Matrix, row: number, factor: number): void {
  for (let k = row * columns; k < (row + 1) * columns; k++) values[k] *= factor;
}
