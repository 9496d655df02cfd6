/**
 * Chunks of one stream to a port, no more of them than its reader has room for. What comes faster waits
 * in the engine, whose own bound is the request's number of tokens.
 */
import { WINDOW_CHUNKS } from "./messages.ts";

export class HostStream {
  readonly #send: (chunks: readonly unknown[]) => void;
  #room = WINDOW_CHUNKS;
  #batch: unknown[] = [];
  #wake: (() => void) | undefined;

  constructor(send: (chunks: readonly unknown[]) => void) {
    this.#send = send;
  }

  /** Its reader has taken so many. */
  grant(chunks: number): void {
    this.#room += chunks;
    this.#wake?.();
  }

  /** Resolves when all are sent. @throws what the chunks' maker throws. */
  async run(chunks: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
    const wake = () => this.#wake?.();
    signal.addEventListener("abort", wake);
    try {
      for await (const chunk of chunks) {
        this.#batch.push(chunk);
        // Those that are there already go along.
        if (this.#batch.length === 1) queueMicrotask(() => this.#flush());
        this.#room -= 1;
        while (this.#room <= 0 && !signal.aborted) {
          this.#flush();
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#flush();
    }
  }

  #flush(): void {
    if (this.#batch.length === 0) return;
    this.#send(this.#batch);
    this.#batch = [];
  }
}
