/**
 * The tokens that a constraint may allow, as bytes, packed to be sent to a worker. Special tokens, and those whose
 * bytes depend on their neighbours, are never among them; end tokens are apart.
 */

/** What a tokenizer knows, as far as masks need it. */
export interface TokenSource {
  /** Undefined: the token is never allowed. */
  idToBytes(id: number): Uint8Array | undefined;
  isSpecial(id: number): boolean;
  /** Ends a text. */
  readonly eosTokenIds: readonly number[];
}

/** Plain data. */
export interface TokenVocabulary {
  /** Of the model, padding included: masks have a bit for each. */
  readonly vocabSize: number;
  readonly endTokenIds: readonly number[];
  /** Special tokens by text: allowed only where a constraint names them. */
  readonly specials: ReadonlyMap<string, number>;
  /** [V + 1] token i has the bytes from offsets[i] to offsets[i + 1]; none: it is never allowed. */
  readonly offsets: Uint32Array;
  readonly bytes: Uint8Array;
}

export function packVocabulary(source: TokenSource, vocabSize: number): TokenVocabulary {
  const endTokenIds = source.eosTokenIds.filter((id) => id < vocabSize);
  const ends = new Set(endTokenIds);
  const offsets = new Uint32Array(vocabSize + 1);
  const parts: Uint8Array[] = [];
  const specials = new Map<string, number>();
  for (let id = 0; id < vocabSize; id++) {
    const isSpecial = ends.has(id) || source.isSpecial(id);
    const own = source.idToBytes(id);
    if (isSpecial && own) specials.set(new TextDecoder().decode(own), id);
    const known = isSpecial ? undefined : own;
    const bytes = known && isPieceOfText(known) ? known : undefined;
    if (bytes) parts.push(bytes);
    offsets[id + 1] = offsets[id] + (bytes?.length ?? 0);
  }
  const all = new Uint8Array(offsets[vocabSize]);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return { vocabSize, endTokenIds, specials, offsets, bytes: all };
}

/** The vocabulary with some special tokens as ordinary ones. */
export function withSpecials(
  vocabulary: TokenVocabulary,
  texts: readonly string[],
): TokenVocabulary {
  const known = texts.filter((text) => vocabulary.specials.has(text));
  if (known.length === 0) return vocabulary;
  const added = new Map(known.map((text) => [vocabulary.specials.get(text)!, text]));
  const source: TokenSource = {
    eosTokenIds: vocabulary.endTokenIds.filter((id) => !added.has(id)),
    isSpecial: () => false,
    idToBytes(id) {
      const text = added.get(id);
      return text === undefined ? bytesOf(vocabulary, id) : new TextEncoder().encode(text);
    },
  };
  return { ...packVocabulary(source, vocabulary.vocabSize), endTokenIds: vocabulary.endTokenIds };
}

export const bytesOf = ({ offsets, bytes }: TokenVocabulary, id: number): Uint8Array =>
  bytes.subarray(offsets[id], offsets[id + 1]);

/** Whether the bytes may stand somewhere in UTF-8: they may begin and end within a character. */
function isPieceOfText(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length && at < 3 && isTail(bytes[at])) at++;
  while (at < bytes.length) {
    const first = bytes[at++];
    if (first < 0x80) continue;
    if (first < 0xc2 || first > 0xf4) return false;
    const numTails = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    for (let i = 0; i < numTails && at < bytes.length; i++, at++) {
      if (!isTail(bytes[at]) || (i === 0 && !isSecond(first, bytes[at]))) return false;
    }
  }
  return true;
}

const isTail = (byte: number) => byte >= 0x80 && byte <= 0xbf;

/** No overlong forms, no surrogates, nothing above U+10FFFF. */
function isSecond(first: number, second: number): boolean {
  if (first === 0xe0) return second >= 0xa0;
  if (first === 0xed) return second <= 0x9f;
  if (first === 0xf0) return second >= 0x90;
  return first !== 0xf4 || second <= 0x8f;
}
