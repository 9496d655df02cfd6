/**
 * Text that must come next, as the tokens that a tokenizer makes of it. Only those are given that stay the same
 * whatever follows: what the tokenizer would join with the next text is left to the model, whose mask admits
 * nothing else anyway.
 */

export interface ForcedTokenizer {
  encode(text: string, options: { readonly addSpecialTokens: boolean }): number[];
  idToBytes(id: number): Uint8Array | undefined;
  isSpecial(id: number): boolean;
}

/** Ends of text that tokenizers join in different ways: a letter, a digit, a blank, marks of JSON, a line break. */
const CONTINUATIONS = ["a", "0", " ", '"', ",", "}", "\n", "é"];

/**
 * @param mask Of the next token: the first forced one is among its.
 * @returns none where the text is short, or its tokens are not certain.
 */
export function forcedTokens(
  bytes: Uint8Array,
  mask: Uint32Array,
  tokenizer: ForcedTokenizer,
): readonly number[] {
  const only = onlyBit(mask);
  if (bytes.length === 0) return [];
  const text = wholeText(bytes);
  const ids = text === "" ? [] : tokenizer.encode(text, { addSpecialTokens: false });
  // Of special tokens only the mask knows which are allowed.
  const special = ids.findIndex((id, i) => i > 0 && tokenizer.isSpecial(id));
  let numCertain = special < 0 ? ids.length : special;
  for (const continuation of CONTINUATIONS) {
    const longer = tokenizer.encode(text + continuation, { addSpecialTokens: false });
    while (numCertain > 0 && ids.slice(0, numCertain).some((id, i) => longer[i] !== id))
      numCertain--;
  }
  const certain = ids.slice(0, numCertain);
  if (isBeginning(certain, bytes, tokenizer) && certain.length > 0 && isSet(mask, certain[0]))
    return certain;
  return only === undefined ? [] : [only];
}

/** Without a character that is cut at the end. */
function wholeText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes, { stream: true });
}

/** Tokenizers may add a blank, or know tokens whose bytes are not those of the text. */
function isBeginning(
  ids: readonly number[],
  bytes: Uint8Array,
  tokenizer: ForcedTokenizer,
): boolean {
  let at = 0;
  for (const id of ids) {
    const own = tokenizer.idToBytes(id);
    if (!own?.every((byte, i) => byte === bytes[at + i])) return false;
    at += own.length;
  }
  return true;
}

function onlyBit(mask: Uint32Array): number | undefined {
  let only: number | undefined;
  for (const [word, bits] of mask.entries()) {
    if (bits === 0) continue;
    if (only !== undefined || (bits & (bits - 1)) !== 0) return undefined;
    only = word * 32 + (31 - Math.clz32(bits));
  }
  return only;
}

const isSet = (mask: Uint32Array, id: number) => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
