/**
 * Text to token ids and back, over @huggingface/tokenizers. Owns which ids are special and which
 * end a text. Refuses files whose ids contradict each other.
 */
import { Tokenizer as Vocabulary } from "@huggingface/tokenizers";
import { reasonOf, WeftError } from "../errors.ts";
import { type DecodingVocabulary, Detokenizer } from "./detokenizer.ts";
import { type ByteDecoder, byteDecoder } from "./token-bytes.ts";

/** Far above any vocabulary; an id beyond it is a broken file, not a token. */
const MAX_TOKEN_ID = 2 ** 24;

const MODEL_TYPES = ["BPE", "Unigram", "WordPiece"];

export interface TokenizerFiles {
  /** tokenizer.json, parsed. */
  readonly tokenizer: unknown;
  /** tokenizer_config.json, parsed; empty where the model has none. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Of generation_config.json or config.json; the tokenizer's own eos_token is added. */
  readonly eosTokenIds?: readonly number[];
}

export interface EncodeOptions {
  /** Let the tokenizer add its BOS and the like: yes for plain text, no after a chat template. */
  readonly addSpecialTokens: boolean;
}

export class Tokenizer implements DecodingVocabulary {
  /** Highest id + 1. A model's embedding may have more rows. */
  readonly vocabSize: number;
  readonly bosTokenId: number | undefined;
  /** Every id that ends a text. */
  readonly eosTokenIds: readonly number[];
  /** `bos_token`, `eos_token` and the like of tokenizer_config.json, for chat templates. */
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly cleansUp: boolean;
  readonly byteDecoder: ByteDecoder | undefined;
  readonly #vocabulary: Vocabulary;
  readonly #addedText: ReadonlyMap<number, string>;
  readonly #specialIds: ReadonlySet<number>;

  /** @throws {WeftError} `bad_tokenizer`. */
  constructor({ tokenizer, config, eosTokenIds = [] }: TokenizerFiles) {
    const { added, maxId } = checkTokenizer(tokenizer);
    this.#vocabulary = build(tokenizer as object, config);
    this.#addedText = new Map(added.map(({ id, content }) => [id, content]));
    this.#specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
    this.vocabSize = maxId + 1;
    this.specialTokens = specialTokens(config);
    this.cleansUp = config.clean_up_tokenization_spaces === true;
    this.byteDecoder = byteDecoder((tokenizer as { decoder?: unknown }).decoder);
    const { bos_token: bos, eos_token: eos } = this.specialTokens;
    this.bosTokenId = bos === undefined ? undefined : this.tokenId(bos);
    const eosId = eos === undefined ? undefined : this.tokenId(eos);
    this.eosTokenIds = [...new Set([...eosTokenIds, ...(eosId === undefined ? [] : [eosId])])];
  }

  /** Special and other added tokens that occur in the text are recognised in both modes. */
  encode(text: string, { addSpecialTokens }: EncodeOptions): number[] {
    const { ids, tokens } = this.#vocabulary.encode(text, {
      add_special_tokens: addSpecialTokens,
    });
    const unknown = ids.findIndex((id) => !Number.isInteger(id));
    if (unknown >= 0) {
      throw new WeftError(
        "bad_tokenizer",
        `the vocabulary has no token ${JSON.stringify(tokens[unknown])} and none for unknown ` +
          `text; take tokenizer.json from the model's publisher`,
      );
    }
    return ids;
  }

  /** Special tokens are left out unless `skipSpecialTokens` is false; so are ids without a token. */
  decode(ids: readonly number[], { skipSpecialTokens = true } = {}): string {
    const detokenizer = new Detokenizer(this, { skipSpecialTokens });
    let text = "";
    for (const id of ids) text += detokenizer.push(id);
    return text + detokenizer.flush();
  }

  /** What the library makes of ids that all have a token. No spaces are cleaned up. */
  decodeWindow(ids: readonly number[]): string {
    // The library refuses an empty list.
    return ids.length === 0 ? "" : this.#vocabulary.decode([...ids]);
  }

  token(id: number): string | undefined {
    return this.#vocabulary.id_to_token(id);
  }

  tokenId(token: string): number | undefined {
    return this.#vocabulary.token_to_id(token);
  }

  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  /** Texts that stand beside the vocabulary, special or not. */
  get addedTokens(): Iterable<string> {
    return this.#addedText.values();
  }

  addedToken(id: number): string | undefined {
    return this.#addedText.get(id);
  }

  /** The bytes that the token adds to a text; undefined where that depends on its neighbours. */
  idToBytes(id: number): Uint8Array | undefined {
    const added = this.#addedText.get(id);
    if (added !== undefined) return new TextEncoder().encode(added);
    const token = this.token(id);
    return token === undefined ? undefined : this.byteDecoder?.bytes(token);
  }
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

function build(tokenizer: object, config: Readonly<Record<string, unknown>>): Vocabulary {
  try {
    // Its default is true, which spoils code; whether to clean up is decided here, not there.
    return new Vocabulary(tokenizer, { ...config, clean_up_tokenization_spaces: false });
  } catch (cause) {
    throw bad(reasonOf(cause), cause);
  }
}

/** What the library takes on trust: the vocabulary, its ids, and the added tokens. */
function checkTokenizer(tokenizer: unknown): { added: AddedToken[]; maxId: number } {
  if (!isObject(tokenizer)) throw bad("it is not an object");
  const { model, added_tokens } = tokenizer;
  if (!isObject(model)) throw bad("it has no model");
  // The library takes an unknown type for a list of whole words.
  if (model.type !== undefined && !MODEL_TYPES.includes(String(model.type))) {
    throw bad(`model type ${shown(model.type)} is not one of ${MODEL_TYPES.join(", ")}`);
  }
  const vocab: unknown = model.vocab;
  if (!isObject(vocab) && !Array.isArray(vocab)) throw bad("its model has no vocab");
  let maxId = -1;
  // Unigram lists its tokens; the others map each to an id.
  if (Array.isArray(vocab)) {
    const odd = vocab.findIndex((e) => !Array.isArray(e) || typeof e[0] !== "string");
    if (odd >= 0) throw bad(`entry ${odd} of its vocab is no pair of token and score`);
    maxId = vocab.length - 1;
  } else {
    const owner = new Map<unknown, string>();
    for (const [token, id] of Object.entries(vocab)) {
      if (!isTokenId(id)) throw bad(`token ${JSON.stringify(token)} has the id ${shown(id)}`);
      if (owner.has(id)) {
        throw bad(
          `tokens ${JSON.stringify(owner.get(id))} and ${JSON.stringify(token)} share ${id}`,
        );
      }
      owner.set(id, token);
      maxId = Math.max(maxId, id);
    }
  }
  if (!Array.isArray(added_tokens)) throw bad("it has no list of added_tokens");
  const added = added_tokens.map((token: unknown, i): AddedToken => {
    if (!isObject(token) || !isTokenId(token.id) || typeof token.content !== "string") {
      throw bad(`entry ${i} of its added_tokens is no pair of id and content`);
    }
    maxId = Math.max(maxId, token.id);
    return { id: token.id, content: token.content, special: token.special === true };
  });
  return { added, maxId };
}

/** Names like `eos_token`, whose value is a text or an object that holds one. */
function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [name, value] of Object.entries(config)) {
    if (!/^(bos|eos|unk|sep|pad|cls|mask)_token$/.test(name)) continue;
    const text = isObject(value) ? value.content : value;
    if (typeof text === "string") tokens[name] = text;
  }
  return tokens;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTokenId(id: unknown): id is number {
  return Number.isInteger(id) && Number(id) >= 0 && Number(id) < MAX_TOKEN_ID;
}

function shown(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 40);
}

function bad(what: string, cause?: unknown): WeftError {
  return new WeftError(
    "bad_tokenizer",
    `tokenizer.json cannot be used: ${what}; take tokenizer.json from the model's publisher, ` +
      `written by the tokenizers library`,
    { cause },
  );
}
