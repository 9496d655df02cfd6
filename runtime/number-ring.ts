/** The latest rows of a table of numbers, in an array that is made once. */

export class NumberRing<Column extends string> {
  readonly #columns: readonly Column[];
  readonly #capacity: number;
  readonly #values: Float64Array;
  #count = 0;

  constructor(capacity: number, columns: readonly Column[]) {
    this.#columns = columns;
    this.#capacity = capacity;
    this.#values = new Float64Array(capacity * columns.length);
  }

  push(row: Readonly<Record<Column, number>>): void {
    const at = (this.#count++ % this.#capacity) * this.#columns.length;
    for (const [i, column] of this.#columns.entries()) this.#values[at + i] = row[column];
  }

  /** In no order. */
  rows(): Record<Column, number>[] {
    const numRows = Math.min(this.#count, this.#capacity);
    return Array.from({ length: numRows }, (_, row) => {
      const at = row * this.#columns.length;
      const entries = this.#columns.map((column, i) => [column, this.#values[at + i]] as const);
      return Object.fromEntries(entries) as Record<Column, number>;
    });
  }
}
