/**
 * Chunks from whoever makes them to one reader, as an async iterator. Owns what a reader sees after
 * an abort or an error.
 */
import type { GenerateChunk } from "./request.ts";

export class ChunkStream implements AsyncIterable<GenerateChunk> {
  readonly #onAbandon: () => void;
  #chunks: GenerateChunk[] = [];
  #done = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  /** @param onAbandon The reader left before the end. */
  constructor(onAbandon: () => void) {
    this.#onAbandon = onAbandon;
  }

  push(chunk: GenerateChunk): void {
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

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerateChunk, void, undefined> {
    try {
      while (true) {
        yield* this.#chunks.splice(0);
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
