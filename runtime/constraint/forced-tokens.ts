/**
 * Text that must come next, as the tokens that a tokenizer makes of it. Only those are given that stay the same
 * whatever follows: what the tokenizer would join with the next text is left to the model, whose mask admits
 * nothing else anyway. Short texts are left to it as well: they are rarely certain, and not worth asking.
 */

export interface ForcedTokenizer {
  encode(text: string, options: { readonly addSpecialTokens: boolean }): number[];
  idToBytes(id: number): Uint8Array | undefined;
  isSpecial(id: number): boolean;
}

/** Of forced text; a shorter one is left to the model. */
export const MIN_FORCED_BYTES = 4;
/** Texts whose tokens are kept: those of a few schemas. */
const MAX_KEPT = 1_000;
/** Ends of text that tokenizers join in different ways: a letter, a digit, a blank, marks of JSON, a line break. */
const CONTINUATIONS = ["a", "0", " ", '"', ",", "}", "\n", "é"];

export class ForcedTokens {
  readonly #tokenizer: ForcedTokenizer;
  readonly #kept = new Map<string, readonly number[]>();

  constructor(tokenizer: ForcedTokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** @param mask Of the next token: the first forced one is among its. @returns often none. */
  of(bytes: Uint8Array, mask: Uint32Array): readonly number[] {
    if (bytes.length < MIN_FORCED_BYTES) return [];
    // Without a character that is cut at the end.
    const text = new TextDecoder().decode(bytes, { stream: true });
    const ids = this.#kept.get(text) ?? this.#certain(text);
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(text, ids);
    return ids.length > 0 && isSet(mask, ids[0]) ? ids : [];
  }

  #certain(text: string): readonly number[] {
    const encode = (of: string) => this.#tokenizer.encode(of, { addSpecialTokens: false });
    const ids = encode(text);
    let numCertain = 0;
    const longer = CONTINUATIONS.map((continuation) => encode(text + continuation));
    while (numCertain < ids.length && longer.every((of) => of[numCertain] === ids[numCertain])) {
      // Of special tokens only the mask knows which are allowed.
      if (numCertain > 0 && this.#tokenizer.isSpecial(ids[numCertain])) break;
      numCertain++;
    }
    const certain = ids.slice(0, numCertain);
    return this.#isBeginning(certain, new TextEncoder().encode(text)) ? certain : [];
  }

  /** Tokenizers may add a blank, or know tokens whose bytes are not those of the text. */
  #isBeginning(ids: readonly number[], bytes: Uint8Array): boolean {
    let at = 0;
    for (const id of ids) {
      const own = this.#tokenizer.idToBytes(id);
      if (!own?.every((byte, i) => byte === bytes[at + i])) return false;
      at += own.length;
    }
    return true;
  }
}

const isSet = (mask: Uint32Array, id: number) => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
