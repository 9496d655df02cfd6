/**
 * The tokens of a GGUF file with their kinds, and the ids that have a role. Owns the checks: lists of
 * one length, no token twice, no id outside. Refuses files whose tokens cannot be told apart.
 */
import { WeftError } from "../errors.ts";
import type { GgufHeader } from "../weights/gguf-header.ts";
import { GgufMetadata } from "../weights/gguf-metadata.ts";

/** `tokenizer.ggml.token_type`, as llama.cpp numbers it. */
export const TOKEN_KIND = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

export interface GgufToken {
  readonly id: number;
  readonly text: string;
  readonly kind: number;
}

/** What byte-level and SentencePiece vocabularies differ in, as tokenizer.json says it. */
export interface TokenizerParts {
  readonly normalizer: object | null;
  readonly preTokenizer: object | null;
  readonly decoder: object;
  readonly model: object;
  /** Where `tokenizer.ggml.add_bos_token` does not say it. */
  readonly addsBos: boolean;
}

type Role = "bos" | "eos" | "eot" | "eom" | "unknown" | "padding";

export class GgufVocabulary {
  readonly metadata: GgufMetadata;
  /** Without the unused ones, by rising id. */
  readonly tokens: readonly GgufToken[];
  readonly idOf: ReadonlyMap<string, number>;
  readonly #header: GgufHeader;
  readonly #texts: readonly string[];

  /** @throws {WeftError} `bad_gguf`, `bad_tokenizer`. */
  constructor(header: GgufHeader) {
    this.#header = header;
    this.metadata = new GgufMetadata(header);
    this.#texts = this.metadata.requiredTexts("tokenizer.ggml.tokens");
    const kinds = this.#aligned("tokenizer.ggml.token_type", "i32");
    const idOf = new Map<string, number>();
    const tokens: GgufToken[] = [];
    this.#texts.forEach((text, id) => {
      const kind = kinds?.[id] ?? TOKEN_KIND.normal;
      if (kind === TOKEN_KIND.unused || text === "") return;
      const other = idOf.get(text);
      if (other !== undefined) {
        throw this.bad(`its tokens ${other} and ${id} are both ${JSON.stringify(text)}`);
      }
      idOf.set(text, id);
      tokens.push({ id, text, kind });
    });
    this.tokens = tokens;
    this.idOf = idOf;
  }

  /** Without a prototype, since `__proto__` may be a token. */
  ids(): Record<string, number> {
    const ids: Record<string, number> = Object.create(null);
    for (const { text, id } of this.tokens) ids[text] = id;
    return ids;
  }

  /** One score for each token, by id. */
  scores(): Float32Array | undefined {
    return this.#aligned("tokenizer.ggml.scores", "f32") as Float32Array | undefined;
  }

  /** An id that the metadata gives a role, with its text. */
  special(role: Role): GgufToken | undefined {
    const key = `tokenizer.ggml.${role}_token_id`;
    const id = this.metadata.count(key);
    if (id === undefined) return undefined;
    const text = this.#texts[id];
    if (text) return { id, text, kind: TOKEN_KIND.control };
    throw this.bad(`its ${key} is ${id}, and it has ${this.#texts.length} tokens`);
  }

  bad(what: string, cure = "take the model's Hugging Face folder"): WeftError {
    return new WeftError(
      "bad_tokenizer",
      `the tokenizer of ${this.#header.name} cannot be used: ${what}; ${cure}`,
    );
  }

  #aligned(key: string, elements: "i32" | "f32"): Int32Array | Float32Array | undefined {
    const list = this.metadata.numbers(key, elements);
    if (list === undefined || list.length >= this.#texts.length) return list;
    throw this.bad(`${key} has ${list.length} entries for ${this.#texts.length} tokens`);
  }
}
