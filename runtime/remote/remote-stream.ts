/**
 * One stream of a remote engine at its reader: takes chunks in, gives room back as they are read, and
 * knows what was delivered, so that another host can begin anew and nothing comes twice. Answers are
 * the same whenever they are computed: their seeds are part of the request.
 */
import { ChunkStream } from "../chunk-stream.ts";
import { WINDOW_CHUNKS } from "./messages.ts";

interface Indexed {
  /** Of a token-level chunk. */
  readonly index?: number;
  /** Of an OpenAI-shaped one: one, or none beside the usage. */
  readonly choices?: readonly { readonly index: number }[];
}

export class RemoteStream<T> implements AsyncIterable<T> {
  readonly #onRead: (chunks: number) => void;
  readonly #stream: ChunkStream<T>;
  /** By answer: chunks that came since the host was asked, and the most that ever came. */
  readonly #counts = new Map<number, { now: number; ever: number }>();
  #numRead = 0;

  /** @param onRead The host may send so many more. */
  constructor(onRead: (chunks: number) => void, onAbandon: () => void) {
    this.#onRead = onRead;
    this.#stream = new ChunkStream(onAbandon, () => this.#read());
  }

  /** The host is another, and begins with the first chunk. */
  beginAgain(): void {
    for (const count of this.#counts.values()) count.now = 0;
    this.#numRead = 0;
  }

  receive(chunks: readonly unknown[]): void {
    for (const chunk of chunks as readonly T[]) {
      const { index = 0, choices } = chunk as Indexed;
      const answer = choices ? (choices.at(0)?.index ?? -1) : index;
      const count = this.#counts.get(answer) ?? { now: 0, ever: 0 };
      this.#counts.set(answer, count);
      count.now += 1;
      if (count.now <= count.ever) this.#read();
      else {
        count.ever = count.now;
        this.#stream.push(chunk);
      }
    }
  }

  end(): void {
    this.#stream.end();
  }

  /** The reader gets what has come, and then the error. */
  fail(error: unknown): void {
    this.#stream.fail(error);
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return this.#stream[Symbol.asyncIterator]();
  }

  /** Room is given back half a window at a time. */
  #read(): void {
    this.#numRead += 1;
    if (this.#numRead < WINDOW_CHUNKS / 2) return;
    this.#onRead(this.#numRead);
    this.#numRead = 0;
  }
}
