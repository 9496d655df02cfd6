/**
 * Ids to text while they come in. The pieces joined are exactly the text of all ids: a piece never
 * ends within a character, and what later ids may still change is held back.
 */
import { CleanUp } from "./clean-up.ts";
import type { ByteDecoder } from "./token-bytes.ts";

/** What decoding needs to know of a tokenizer. */
export interface DecodingVocabulary {
  /** How tokens become bytes, where they do so one by one. */
  readonly byteDecoder: ByteDecoder | undefined;
  /** Whether decoding drops spaces before punctuation: only if the model's config says so. */
  readonly cleansUp: boolean;
  /** The entry of the vocabulary as it is written there, e.g. `Ġthe` or `▁the`. */
  token(id: number): string | undefined;
  /** Text of a token that stands beside the vocabulary, special or not. */
  addedToken(id: number): string | undefined;
  isSpecial(id: number): boolean;
  /** The text of ids that all have a token, decoded at once. */
  decodeWindow(ids: readonly number[]): string;
}

export interface DetokenizerOptions {
  readonly skipSpecialTokens?: boolean;
  /**
   * Ids that the text continues, e.g. a prompt; their own text is not given. Without them the text
   * begins here, and some tokenizers drop its first space.
   */
  readonly after?: readonly number[];
}

/** A character has at most four bytes, each perhaps a token of its own; the rest is margin. */
const CONTEXT_TOKENS = 8;

export class Detokenizer {
  readonly #vocabulary: DecodingVocabulary;
  readonly #skipSpecialTokens: boolean;
  readonly #decoder: ByteStream | Window;
  readonly #cleanUp: CleanUp | undefined;

  constructor(
    vocabulary: DecodingVocabulary,
    { skipSpecialTokens = true, after = [] }: DetokenizerOptions = {},
  ) {
    const { byteDecoder } = vocabulary;
    this.#vocabulary = vocabulary;
    this.#skipSpecialTokens = skipSpecialTokens;
    this.#decoder = byteDecoder ? new ByteStream(vocabulary, byteDecoder) : new Window(vocabulary);
    for (const id of after.slice(-CONTEXT_TOKENS)) this.#decode(id);
    this.#cleanUp = vocabulary.cleansUp ? new CleanUp() : undefined;
  }

  /** Text that is settled now; often of one token, sometimes of none or several. */
  push(id: number): string {
    const text = this.#decode(id);
    return this.#cleanUp?.push(text) ?? text;
  }

  /** What was held back. An incomplete character becomes U+FFFD. */
  flush(): string {
    const text = this.#decoder.flush();
    return this.#cleanUp ? this.#cleanUp.push(text) + this.#cleanUp.flush() : text;
  }

  #decode(id: number): string {
    const skipped = this.#skipSpecialTokens && this.#vocabulary.isSpecial(id);
    // Embeddings are padded: an id may have no token.
    if (skipped || this.#vocabulary.token(id) === undefined) return "";
    return this.#decoder.push(id);
  }
}

/** Bytes of each token through one UTF-8 decoder, which holds back incomplete characters. */
class ByteStream {
  readonly #vocabulary: DecodingVocabulary;
  readonly #bytes: ByteDecoder;
  // As everywhere in a text but its start, U+FEFF is a character and not a mark.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  #spacesToStrip: number;

  constructor(vocabulary: DecodingVocabulary, bytes: ByteDecoder) {
    this.#vocabulary = vocabulary;
    this.#bytes = bytes;
    this.#spacesToStrip = bytes.strippedSpaces;
  }

  push(id: number): string {
    const added = this.#vocabulary.addedToken(id);
    // An added token is text: it ends an incomplete character before it.
    if (added !== undefined) return this.#strip(this.#utf8.decode() + added);
    const bytes = this.#bytes.bytes(this.#vocabulary.token(id)!);
    return this.#strip(this.#utf8.decode(bytes, { stream: true }));
  }

  flush(): string {
    return this.#strip(this.#utf8.decode());
  }

  #strip(text: string): string {
    if (text === "") return text;
    let from = 0;
    while (this.#spacesToStrip > 0 && text[from] === " ") {
      from++;
      this.#spacesToStrip--;
    }
    if (from < text.length) this.#spacesToStrip = 0;
    return text.slice(from);
  }
}

/** Any decoder: the ids since the last settled piece are decoded with and without the new one. */
class Window {
  readonly #vocabulary: DecodingVocabulary;
  #ids: number[] = [];
  /** How many of the ids are settled, and their text. */
  #settled = 0;
  #settledText = "";

  constructor(vocabulary: DecodingVocabulary) {
    this.#vocabulary = vocabulary;
  }

  push(id: number): string {
    this.#ids.push(id);
    const text = this.#vocabulary.decodeWindow(this.#ids);
    // Bytes of an incomplete character read as U+FFFD until its last one has come.
    if (text.endsWith("\uFFFD")) return "";
    return this.#settle(text);
  }

  flush(): string {
    return this.#settle(this.#vocabulary.decodeWindow(this.#ids));
  }

  #settle(text: string): string {
    const piece = text.slice(this.#settledText.length);
    this.#ids = this.#ids.slice(this.#settled);
    this.#settled = this.#ids.length;
    this.#settledText = this.#vocabulary.decodeWindow(this.#ids);
    return piece;
  }
}
