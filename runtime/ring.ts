/** The latest of many: a list of bounded length that drops its oldest. */
export class Ring<T> implements Iterable<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  /** Where the oldest is, once the ring is full. */
  #first = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(item: T): void {
    if (this.#items.length < this.#capacity) {
      this.#items.push(item);
      return;
    }
    this.#items[this.#first] = item;
    this.#first = (this.#first + 1) % this.#capacity;
  }

  /** The oldest first. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let i = 0; i < this.#items.length; i++)
      yield this.#items[(this.#first + i) % this.#items.length];
  }
}
