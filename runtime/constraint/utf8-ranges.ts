/**
 * Sets of characters as sequences of byte ranges in UTF-8.
 * @see Russ Cox, "Regular Expression Matching in the Wild", 2010 (UTF-8 automata)
 */
import type { CharRanges } from "./grammar.ts";

/** One range for each byte of a character. */
export type ByteSequence = readonly (readonly [from: number, to: number])[];

/** Last code point of 1, 2, 3 and 4 bytes. */
const LAST = [0x7f, 0x7ff, 0xffff, 0x10ffff];

export function utf8Ranges(ranges: CharRanges): ByteSequence[] {
  const sequences: ByteSequence[] = [];
  for (const [from, to] of ranges) split(from, to, sequences);
  return sequences;
}

function split(from: number, to: number, sequences: ByteSequence[]): void {
  for (const last of LAST) {
    if (from <= last && last < to) {
      split(from, last, sequences);
      split(last + 1, to, sequences);
      return;
    }
  }
  // Cut until all bytes after the first that differs are a whole 80..BF.
  const numTails = LAST.findIndex((last) => to <= last);
  for (let i = 1; i <= numTails; i++) {
    const low = (1 << (6 * i)) - 1;
    if ((from & ~low) === (to & ~low)) continue;
    const cut = (from & low) !== 0 ? from | low : (to & low) !== low ? (to & ~low) - 1 : undefined;
    if (cut === undefined) continue;
    split(from, cut, sequences);
    split(cut + 1, to, sequences);
    return;
  }
  const [first, last] = [utf8(from), utf8(to)];
  sequences.push(Array.from(first, (byte, i) => [byte, last[i]]));
}

/** Also of surrogates, at whose borders ranges may be cut. */
function utf8(code: number): number[] {
  if (code <= LAST[0]) return [code];
  const numTails = LAST.findIndex((last) => code <= last);
  const tails = Array.from({ length: numTails }, (_, i) => 0x80 | ((code >> (6 * i)) & 0x3f));
  return [[0, 0xc0, 0xe0, 0xf0][numTails] | (code >> (6 * numTails)), ...tails.reverse()];
}
