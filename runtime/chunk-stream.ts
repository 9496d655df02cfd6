/**
 * Chunks from whoever makes them to one reader, as an async iterator. Owns what a reader sees after
 * an abort or an error.
 */

export class ChunkStream<T> implements AsyncIterable<T> {
  readonly #onAbandon: () => void;
  readonly #onTake: () => void;
  #chunks: T[] = [];
  #done = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  /**
   * @param onAbandon The reader left before the end.
   * @param onTake The reader takes one more.
   */
  constructor(onAbandon: () => void, onTake: () => void = () => {}) {
    this.#onAbandon = onAbandon;
    this.#onTake = onTake;
  }

  push(chunk: T): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  /** Nothing more comes. */
  end(): void {
    this.#done = true;
    this.#wake?.();
  }

  /** The reader gets what has come, and then the error: the first one counts. */
  fail(error: unknown): void {
    this.#error ??= error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      while (true) {
        for (const chunk of this.#chunks.splice(0)) {
          this.#onTake();
          yield chunk;
        }
        if (this.#chunks.length > 0) continue;
        if (this.#error !== undefined) throw this.#error;
        if (this.#done) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      if (!this.#done) this.#onAbandon();
    }
  }
}
