/** How much the values of a series differ by chance: told by neighbours, of which a lasting change is one pair. */

const PAIRS = 64;
/** Standard deviation of normal values over the mean difference of two of them: √π / 2. */
const DEVIATION = Math.sqrt(Math.PI) / 2;

export class Unevenness {
  /** Of neighbours, relative to their mean. */
  readonly #differences: number[] = [];
  #last: number | undefined;
  #difference = 0;

  /** Mean difference of neighbours, relative to their mean; but for the largest, which may be a change. */
  get difference(): number {
    return this.#difference;
  }

  /** Standard deviation of one value, relative to it. */
  get deviation(): number {
    return DEVIATION * this.#difference;
  }

  /** @param value Positive, or 0. */
  add(value: number): void {
    const last = this.#last;
    this.#last = value;
    if (last === undefined) return;
    const difference = value === last ? 0 : (2 * Math.abs(value - last)) / (value + last);
    this.#differences.push(difference);
    if (this.#differences.length > PAIRS) this.#differences.shift();
    this.#difference = meanButLargest(this.#differences);
  }

  /** The next value is nobody's neighbour. */
  break(): void {
    this.#last = undefined;
  }
}

function meanButLargest(values: readonly number[]): number {
  let sum = 0;
  let largest = 0;
  for (const value of values) {
    sum += value;
    largest = Math.max(largest, value);
  }
  return (sum - largest) / Math.max(1, values.length - 1);
}
