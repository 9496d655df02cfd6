/** What was asked for lately, by name: so many, and the one asked for longest ago makes room. */

export class Latest<V> {
  readonly #most: number;
  /** The one asked for longest ago first. */
  readonly #values = new Map<string, V>();

  constructor(most: number) {
    this.#most = most;
  }

  /** The one that is known by the name, else a new one. */
  take(name: string, make: () => V): V {
    const value = this.#values.has(name) ? (this.#values.get(name) as V) : make();
    this.#values.delete(name);
    this.#values.set(name, value);
    if (this.#values.size > this.#most) {
      const [oldest] = this.#values.keys();
      this.#values.delete(oldest);
    }
    return value;
  }

  get size(): number {
    return this.#values.size;
  }
}
