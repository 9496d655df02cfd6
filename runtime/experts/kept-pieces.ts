/**
 * Host memory for what was read of experts, so that one that comes back is not read again. Bounded; who
 * was not asked for the longest goes first.
 */

interface Piece {
  readonly bytes: Uint8Array;
}

interface Kept<P> {
  readonly pieces: readonly P[];
  readonly bytes: number;
}

export class KeptPieces<P extends Piece> {
  readonly #maxBytes: number;
  /** The one that was asked for last is the last. */
  readonly #kept = new Map<string, Kept<P>>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Those that are kept, or those that are read now and then kept if they have room. */
  pieces(key: string, read: () => AsyncIterable<P>): AsyncIterable<P> | Iterable<P> {
    const kept = this.#kept.get(key);
    if (!kept) return this.#reading(key, read());
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.pieces;
  }

  async *#reading(key: string, read: AsyncIterable<P>): AsyncGenerator<P, void, undefined> {
    const pieces: P[] = [];
    let bytes = 0;
    for await (const piece of read) {
      bytes += piece.bytes.byteLength;
      if (bytes <= this.#maxBytes) pieces.push(piece);
      yield piece;
    }
    if (bytes > this.#maxBytes) return;
    this.#kept.set(key, { pieces, bytes });
    this.#bytes += bytes;
    for (const [eldest, { bytes: freed }] of this.#kept) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#kept.delete(eldest);
      this.#bytes -= freed;
    }
  }
}
