/** What a linear model of a sublayer is fitted to, and judged by: sums over tokens, not the tokens. */
import { type Matrix, zeros } from "./matrix.ts";

/** Of rows x [D] that enter and rows y [E] that are to come out. */
export class Moments {
  /** Σ x xᵀ, [D,D]. */
  readonly gram: Matrix;
  /** Σ x yᵀ, [D,E]. */
  readonly cross: Matrix;
  /** Σ y · y. */
  energy = 0;
  numRows = 0;

  constructor(inputs: number, outputs: number) {
    this.gram = zeros(inputs, inputs);
    this.cross = zeros(inputs, outputs);
  }

  /** @param x [T,D], @param y [T,E]; T follows from their lengths. */
  add(x: Float32Array, y: Float32Array): void {
    const { rows: D, values: gram } = this.gram;
    const { columns: E, values: cross } = this.cross;
    const numRows = x.length / D;
    for (let i = 0; i < D; i++) {
      // Row by row of the sums, so that each stays in the cache while all tokens are added.
      for (let t = 0; t < numRows; t++) {
        const factor = x[t * D + i];
        for (let j = 0; j <= i; j++) gram[i * D + j] += factor * x[t * D + j];
        for (let j = 0; j < E; j++) cross[i * E + j] += factor * y[t * E + j];
      }
      for (let j = 0; j < i; j++) gram[j * D + i] = gram[i * D + j];
    }
    for (const value of y) this.energy += value * value;
    this.numRows += numRows;
  }
}
