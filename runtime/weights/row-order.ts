/**
 * Which row of Hugging Face's order each row of a file is. Matrices are put in order where they are
 * packed (kernels/repack.ts); here is the same for vectors, whose rows are single elements.
 */

/**
 * Rows of a query or key projection with the halves of each head interleaved, as rotary pairs lie
 * next to each other: row h·H + 2·d + p of the file is row h·H + p·H/2 + d of Hugging Face.
 */
export interface RowOrder {
  /** H: rows of one head, an even number that divides the rows. */
  readonly headSize: number;
}

/** The elements of a vector in Hugging Face's order. */
export function inOrder(
  values: Float32Array<ArrayBuffer>,
  order: RowOrder | undefined,
): Float32Array<ArrayBuffer> {
  if (!order) return values;
  const { headSize } = order;
  const ordered = new Float32Array(values.length);
  for (let row = 0; row < values.length; row++) {
    const d = row % headSize;
    ordered[row - d + (d >> 1) + (d % 2) * (headSize / 2)] = values[row];
  }
  return ordered;
}
