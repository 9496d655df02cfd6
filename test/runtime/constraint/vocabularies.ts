// Vocabularies for tests of constraints: the demo model's, and one of the size that models of today have.

import { readFileSync } from "node:fs";
import type { ConstraintTokenizer } from "../../../runtime/constraint/constraint-compiler.ts";
import { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";

const read = (file: string) =>
  JSON.parse(readFileSync(new URL(`../../../assets/demo/${file}`, import.meta.url), "utf8"));

export const demoTokenizer = (): Tokenizer =>
  new Tokenizer({ tokenizer: read("tokenizer.json"), config: read("tokenizer_config.json") });

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const PIECES = Array.from(
  'a|e|th|in|er|on|re|st|ing| |ed|co|ma| the| a|ti|"|,|{|}|:|1|2|0|é|ü|中|\n|  |_|[|]|(|)|ly|": "|",\n'.split(
    "|",
  ),
);

/** All bytes, and texts of up to six pieces; encodes byte by byte. */
export function largeVocabulary(
  size: number,
): ConstraintTokenizer & { readonly vocabSize: number } {
  const random = randoms(12345);
  const encoder = new TextEncoder();
  const tokens: Uint8Array[] = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const known = new Set<string>();
  while (tokens.length < size) {
    let text = "";
    const length = 1 + Math.floor(random() ** 2 * 6);
    for (let i = 0; i < length; i++) text += PIECES[Math.floor(random() * PIECES.length)];
    if (!known.has(text)) tokens.push(encoder.encode(text));
    known.add(text);
  }
  return {
    vocabSize: size + 64,
    eosTokenIds: [size],
    isSpecial: () => false,
    idToBytes: (id) => tokens[id],
    encode: (text) => [...encoder.encode(text)],
  };
}
