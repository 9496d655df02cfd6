// Least squares in float64: closed cases, and what a solution must be whatever the numbers are.

import { describe, expect, test } from "vitest";
import { normal, seededRandom } from "../../../kernels/probe.ts";
import { Cholesky } from "../../../runtime/calibration/cholesky.ts";
import {
  fitLowRank,
  type LowRank,
  relativeError,
} from "../../../runtime/calibration/low-rank-fit.ts";
import {
  elementProduct,
  firstColumns,
  type Matrix,
  multiply,
  transpose,
  transposeMultiply,
} from "../../../runtime/calibration/matrix.ts";
import { Moments } from "../../../runtime/calibration/moments.ts";
import { ridge } from "../../../runtime/calibration/ridge.ts";
import { symmetricEigen, topEigen } from "../../../runtime/calibration/symmetric-eigen.ts";

const matrix = (rows: readonly (readonly number[])[]): Matrix => ({
  rows: rows.length,
  columns: rows[0]!.length,
  values: Float64Array.from(rows.flat()),
});

const randomMatrix = (rows: number, columns: number, random: () => number): Matrix => ({
  rows,
  columns,
  values: Float64Array.from(normal(rows * columns, random)),
});

/** Of rank `rank`, with eigenvalues that fall. */
function positive(n: number, rank: number, random: () => number): Matrix {
  const half = randomMatrix(rank, n, random);
  half.values.forEach((value, i) => {
    half.values[i] = value * 0.8 ** Math.floor(i / n);
  });
  return transposeMultiply(half, half);
}

function expectClose(got: Matrix, want: Matrix, digits = 9): void {
  expect([got.rows, got.columns]).toEqual([want.rows, want.columns]);
  got.values.forEach((value, i) => {
    expect(value, `element ${i}`).toBeCloseTo(want.values[i]!, digits);
  });
}

describe("Cholesky", () => {
  test("has the factor that is worked out by hand", () => {
    const a = matrix([
      [4, 12, -16],
      [12, 37, -43],
      [-16, -43, 98],
    ]);
    const factor = matrix([
      [2, 0, 0],
      [6, 1, 0],
      [-8, 5, 3],
    ]);
    expectClose(new Cholesky(a).factor, factor, 12);
  });

  test("solves: the matrix times the solution is the right-hand side", () => {
    const random = seededRandom(2);
    const a = positive(23, 40, random);
    const b = randomMatrix(23, 5, random);
    expectClose(multiply(a, new Cholesky(a).solve(b)), b, 7);
  });

  test("refuses a matrix that is not positive definite", () => {
    const singular = matrix([
      [1, 1],
      [1, 1],
    ]);
    expect(() => new Cholesky(singular)).toThrow(/pivot 1 of 2 is 0/);
  });
});

describe("eigenvectors", () => {
  test("of a matrix of two dims, by hand", () => {
    const { values, vectors } = symmetricEigen(
      matrix([
        [2, 1],
        [1, 2],
      ]),
    );
    expect([...values].map((value) => value.toFixed(12))).toEqual([
      "3.000000000000",
      "1.000000000000",
    ]);
    expect(vectors.values[0]! / vectors.values[2]!).toBeCloseTo(1, 12);
    expect(vectors.values[1]! / vectors.values[3]!).toBeCloseTo(-1, 12);
  });

  test("are orthonormal, and give the matrix back", () => {
    const a = positive(30, 12, seededRandom(3));
    const { values, vectors } = symmetricEigen(a);
    const scaled: Matrix = {
      ...vectors,
      values: vectors.values.map((value, i) => value * values[i % 30]!),
    };
    expectClose(multiply(scaled, transpose(vectors)), a);
    const identity = transposeMultiply(vectors, vectors);
    identity.values.forEach((value, i) => {
      expect(value).toBeCloseTo(i % 31 === 0 ? 1 : 0, 12);
    });
    expect([...values]).toEqual([...values].sort((x, y) => y - x));
    // It has rank 12.
    expect(values[11]!).toBeGreaterThan(1e-3);
    expect(Math.abs(values[12]!)).toBeLessThan(1e-12);
  });

  test("the first of a large matrix are those of all", () => {
    const a = positive(60, 80, seededRandom(4));
    const all = symmetricEigen(a);
    const top = topEigen((columns) => multiply(a, columns), 60, 5, seededRandom(1));
    for (let k = 0; k < 5; k++) expect(top.values[k]! / all.values[k]!).toBeCloseTo(1, 3);
    // Same directions, whichever way they point.
    const products = transposeMultiply(top.vectors, firstColumns(all.vectors, 5));
    for (let k = 0; k < 5; k++) expect(Math.abs(products.values[6 * k]!)).toBeCloseTo(1, 1);
  });

  test("of a matrix with fewer dims than are asked for are all there are", () => {
    const a = positive(3, 3, seededRandom(5));
    const top = topEigen((columns) => multiply(a, columns), 3, 8, seededRandom(1));
    expect(top.values).toHaveLength(3);
    expectClose(
      { rows: 1, columns: 3, values: top.values },
      { rows: 1, columns: 3, values: symmetricEigen(a).values },
    );
  });
});

interface Tokens {
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** x whose dims differ in size a hundredfold; y = x · map + noise. */
function tokens(count: number, map: Matrix, noise: number, random: () => number): Tokens {
  const { rows: D, columns: E } = map;
  const x = normal(count * D, random).map((value, i) => value * 100 ** -((i % D) / (D - 1)));
  const y = normal(count * E, random, noise);
  for (let t = 0; t < count; t++) {
    for (let i = 0; i < D; i++) {
      for (let j = 0; j < E; j++) y[t * E + j]! += x[t * D + i]! * map.values[i * E + j]!;
    }
  }
  return { x, y };
}

function momentsOf({ x, y }: Tokens, D: number, E: number): Moments {
  const moments = new Moments(D, E);
  const half = Math.floor(x.length / D / 2);
  moments.add(x.subarray(0, half * D), y.subarray(0, half * E));
  moments.add(x.subarray(half * D), y.subarray(half * E));
  return moments;
}

/** Σ |y − up · down · x|² over Σ |y|², token by token. */
function errorByToken({ x, y }: Tokens, { down, up }: LowRank): number {
  const whole = multiply(up, down);
  const { columns: D, rows: E } = whole;
  let error = 0;
  let energy = 0;
  for (let t = 0; t < x.length / D; t++) {
    for (let j = 0; j < E; j++) {
      let predicted = 0;
      for (let i = 0; i < D; i++) predicted += whole.values[j * D + i]! * x[t * D + i]!;
      error += (y[t * E + j]! - predicted) ** 2;
      energy += y[t * E + j]! ** 2;
    }
  }
  return error / energy;
}

describe("moments", () => {
  test("by hand, over two calls", () => {
    const moments = new Moments(2, 1);
    moments.add(Float32Array.of(1, 2, 0, 1), Float32Array.of(3, 1));
    moments.add(Float32Array.of(-1, 1), Float32Array.of(2));
    expect([...moments.gram.values]).toEqual([2, 1, 1, 6]);
    expect([...moments.cross.values]).toEqual([1, 9]);
    expect(moments.energy).toBe(14);
    expect(moments.numRows).toBe(3);
  });
});

describe("ridge regression", () => {
  test("of one input is the ratio of sums, held back by a thousandth", () => {
    const moments = new Moments(1, 1);
    moments.add(Float32Array.of(1, 2, 3), Float32Array.of(2, 4, 6));
    expect(ridge(moments).values[0]).toBeCloseTo(28 / (14 * 1.001), 12);
  });

  test("finds the map that made the outputs", () => {
    const random = seededRandom(7);
    const map = randomMatrix(6, 4, random);
    const { x, y } = tokens(2000, map, 0, random);
    const moments = momentsOf({ x, y }, 6, 4);
    const model: LowRank = { up: transpose(ridge(moments)), down: identity(6) };
    expect(relativeError(moments, model)).toBeLessThan(2e-3);
  });

  test("says so where there is nothing to learn from", () => {
    expect(() => ridge(new Moments(3, 3))).toThrow(/pivot 0 of 3 is 0/);
  });
});

function identity(n: number): Matrix {
  const values = new Float64Array(n * n);
  for (let i = 0; i < n; i++) values[i * n + i] = 1;
  return { rows: n, columns: n, values };
}

describe("a low-rank fit", () => {
  const D = 24;
  const E = 16;
  const random = seededRandom(11);
  const map = multiply(randomMatrix(D, 3, random), randomMatrix(3, E, random));
  const fitted = momentsOf(tokens(1500, map, 0.01, random), D, E);
  const others = tokens(200, map, 0.01, random);

  test("of the map's own rank holds for tokens it was not fitted to", () => {
    const model = fitLowRank(fitted, 3);
    expect([model.down.rows, model.down.columns]).toEqual([3, D]);
    expect([model.up.rows, model.up.columns]).toEqual([E, 3]);
    expect(errorByToken(others, model)).toBeLessThan(5e-3);
  });

  test("is better the higher its rank, and never worse than leaving the sublayer out", () => {
    const errors = [1, 2, 3].map((rank) => relativeError(fitted, fitLowRank(fitted, rank)));
    expect(errors[0]).toBeLessThan(1);
    expect(errors[1]).toBeLessThan(errors[0]!);
    expect(errors[2]).toBeLessThan(errors[1]!);
  });

  test("has the error that its tokens have one by one", () => {
    const model = fitLowRank(fitted, 2);
    expect(relativeError(momentsOf(others, D, E), model)).toBeCloseTo(
      errorByToken(others, model),
      9,
    );
  });

  test("is the best of its rank: better than W cut down in its own elements, and than its neighbours", () => {
    const model = fitLowRank(fitted, 1);
    const best = relativeError(fitted, model);
    const w = ridge(fitted);
    const { vectors } = symmetricEigen(transposeMultiply(w, w));
    const up = firstColumns(vectors, 1);
    const plain = { up, down: transpose(multiply(w, up)) };
    expect(best).toBeLessThan(relativeError(fitted, plain));
    for (let trial = 0; trial < 20; trial++) {
      const near = (of: Matrix): Matrix => {
        const step = 0.02 * Math.sqrt(elementProduct(of, of) / of.values.length);
        const steps = normal(of.values.length, random, step);
        return { ...of, values: of.values.map((value, i) => value + steps[i]!) };
      };
      const neighbour = { down: near(model.down), up: near(model.up) };
      expect(relativeError(fitted, neighbour)).toBeGreaterThan(best);
    }
  });

  test("of full rank is ridge regression", () => {
    const { up, down } = fitLowRank(fitted, E);
    expectClose(transpose(multiply(up, down)), ridge(fitted), 7);
  });
});
