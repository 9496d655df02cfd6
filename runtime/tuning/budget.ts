/** How long tuning may work, and when: every piece of work asks first, and its time is counted. */

export class Budget {
  readonly #mayGoOn: () => boolean | Promise<boolean>;
  #leftMs: number;

  /**
   * @param totalMs Of work; waiting is free.
   * @param mayGoOn Asked before each piece of work; resolves when it may begin, or to false for never.
   */
  constructor(totalMs: number, mayGoOn: () => boolean | Promise<boolean> = () => true) {
    this.#leftMs = totalMs;
    this.#mayGoOn = mayGoOn;
  }

  get leftMs(): number {
    return Math.max(0, this.#leftMs);
  }

  /** @returns What the work gives; undefined when it was not begun, as there is no time for it. */
  async spend<V>(work: () => Promise<V>): Promise<V | undefined> {
    if (this.leftMs === 0 || !(await this.#mayGoOn())) return undefined;
    const startedMs = performance.now();
    try {
      return await work();
    } finally {
      this.#leftMs -= performance.now() - startedMs;
    }
  }
}
