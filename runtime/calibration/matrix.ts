/** Dense matrices in float64, row by row, and the products that calibration needs. */

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] */
  readonly values: Float64Array;
}

export const zeros = (rows: number, columns: number): Matrix => ({
  rows,
  columns,
  values: new Float64Array(rows * columns),
});

/** a [m,n] · b [n,k] */
export function multiply(a: Matrix, b: Matrix): Matrix {
  const out = zeros(a.rows, b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.columns; j++) addRow(out, i, a.values[i * a.columns + j], b, j);
  }
  return out;
}

/** aᵀ · b, a [m,n], b [m,k] */
export function transposeMultiply(a: Matrix, b: Matrix): Matrix {
  const out = zeros(a.columns, b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.columns; j++) addRow(out, j, a.values[i * a.columns + j], b, i);
  }
  return out;
}

export function transpose({ rows, columns, values }: Matrix): Matrix {
  const out = zeros(columns, rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out.values[j * rows + i] = values[i * columns + j];
  }
  return out;
}

/** The first `columns` columns. */
export function firstColumns(matrix: Matrix, columns: number): Matrix {
  const out = zeros(matrix.rows, columns);
  for (let i = 0; i < matrix.rows; i++) {
    const from = i * matrix.columns;
    out.values.set(matrix.values.subarray(from, from + columns), i * columns);
  }
  return out;
}

/** Σ of the products of elements in one place: the trace of aᵀ · b. */
export function elementProduct(a: Matrix, b: Matrix): number {
  let sum = 0;
  for (let i = 0; i < a.values.length; i++) sum += a.values[i] * b.values[i];
  return sum;
}

/** Row `to` of `out` += factor · row `from` of `b`. */
export function addRow(out: Matrix, to: number, factor: number, b: Matrix, from: number): void {
  if (factor === 0) return;
  const { columns } = b;
  const target = to * columns;
  const source = from * columns;
  for (let k = 0; k < columns; k++) out.values[target + k] += factor * b.values[source + k];
}
