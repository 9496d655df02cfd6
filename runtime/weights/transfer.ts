/** A range of a file on its way from a server, and the body that brings it. */
import type { Bytes } from "./byte-source.ts";
import type { FileVersion } from "./file-version.ts";

export interface RangeRequest {
  readonly offset: number;
  readonly length: number;
  /** What the file must still be; left out on an opening request, which may bring fewer bytes than asked. */
  readonly version?: FileVersion;
  readonly signal?: AbortSignal;
  /** Called as bytes come; with less than 0 where they are to be fetched again. */
  readonly onBytes?: (count: number) => void;
}

/** A range on its way: what came of it before a cut is kept. */
export class Transfer {
  readonly offset: number;
  /** Of the range; less where the file ends before. */
  length: number;
  version: FileVersion | undefined;
  bytes: Bytes | undefined;
  filled = 0;
  readonly isOpening: boolean;
  readonly #onBytes: ((count: number) => void) | undefined;

  constructor({ offset, length, version, onBytes }: RangeRequest) {
    this.offset = offset;
    this.length = length;
    this.version = version;
    this.isOpening = version === undefined;
    this.#onBytes = onBytes;
  }

  moveTo(filled: number): void {
    this.#onBytes?.(filled - this.filled);
    this.filled = filled;
  }
}

/** Pieces of the body, of `maxBytes` at most together. */
export async function readBody(
  response: Response,
  maxBytes: number,
  alive: () => void,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  const reader = response.body?.getReader();
  for (let length = 0; reader && length < maxBytes; ) {
    const { done, value } = await reader.read();
    if (done) break;
    alive();
    const piece = value.subarray(0, maxBytes - length);
    take(piece);
    length += piece.length;
  }
  await reader?.cancel();
}

export function joined(pieces: readonly Uint8Array[]): Bytes {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
