// How few tokens a schema can be answered in, told by the recogniser alone.

import { ByteGrammar } from "../../../runtime/constraint/byte-grammar.ts";
import { Recogniser } from "../../../runtime/constraint/recogniser.ts";
import { specGrammar } from "../../../runtime/constraint/spec-grammar.ts";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";

/** One of its shortest texts. @param random Picks among those of a length. */
export function shortestText(schema: object, random: () => number): string {
  const recogniser = new Recogniser(new ByteGrammar(specGrammar({ type: "json_schema", schema })));
  const bytes: number[] = [];
  for (let state = recogniser.start; !state.mayEnd; ) {
    const shorter = [...Array(256).keys()].filter(
      (byte) => recogniser.next(state, byte)?.bytesToEnd === state.bytesToEnd - 1,
    );
    bytes.push(shorter[Math.floor(random() * shorter.length)]);
    state = recogniser.next(state, bytes.at(-1)!)!;
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/** Tokens that the tokenizer makes of a shortest text. */
export const shortestTokens = (
  tokenizer: Tokenizer,
  schema: object,
  random: () => number,
): number => tokenizer.encode(shortestText(schema, random), { addSpecialTokens: false }).length;
