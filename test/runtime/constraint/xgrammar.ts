/**
 * @mlc-ai/web-xgrammar, as far as masks need it. Owns its packaging: a UMD script in an ESM package, whose exports
 * are only on globalThis, and which asks Node for `require`. Its errors are C++ aborts, after which the instance
 * may not be trusted: `isTainted` says so, and whoever runs this thread ends it.
 */
import { bytesOf, type TokenVocabulary } from "../../../runtime/constraint/vocabulary.ts";

interface Handle {
  dispose(): void;
}
interface Matcher extends Handle {
  acceptToken(id: number): boolean;
  getNextTokenBitmask(): Promise<Int32Array>;
  rollBack(numTokens: number): void;
}
interface Compiler extends Handle {
  compileGrammar(ebnf: Handle): Promise<Handle>;
}
interface Library {
  readonly Grammar: { fromEBNF(ebnf: string): Promise<Handle> };
  readonly TokenizerInfo: {
    createTokenizerInfo(
      tokens: string[],
      type: "byte_level",
      prependsSpace: boolean,
      vocabSize: number,
      stopTokenIds: number[],
    ): Promise<Handle>;
  };
  readonly GrammarCompiler: {
    createGrammarCompiler(info: Handle, isCached: boolean): Promise<Compiler>;
  };
  readonly GrammarMatcher: { createGrammarMatcher(compiled: Handle): Promise<Matcher> };
}

/** Matchers of one vocabulary. */
export class Xgrammar {
  isTainted = false;
  readonly #library: Library;
  readonly #compiler: Compiler;
  readonly #vocabSize: number;

  private constructor(library: Library, compiler: Compiler, vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#library = library;
    this.#compiler = compiler;
  }

  static async open(vocabulary: TokenVocabulary): Promise<Xgrammar> {
    const library = await load();
    const tokens = Array.from({ length: vocabulary.vocabSize }, (_, id) =>
      byteLevel(bytesOf(vocabulary, id)),
    );
    const info = await library.TokenizerInfo.createTokenizerInfo(
      tokens,
      "byte_level",
      false,
      vocabulary.vocabSize,
      [...vocabulary.endTokenIds],
    );
    // Compiled grammars are kept by whoever uses them, who knows which are still wanted.
    const compiler = await library.GrammarCompiler.createGrammarCompiler(info, false);
    return new Xgrammar(library, compiler, vocabulary.vocabSize);
  }

  async compile(ebnf: string): Promise<CompiledGrammar> {
    return this.#guarded(async () => {
      const grammar = await this.#library.Grammar.fromEBNF(ebnf);
      try {
        const compiled = await this.#compiler.compileGrammar(grammar);
        return {
          matcher: () =>
            this.#guarded(async () => {
              const matcher = await this.#library.GrammarMatcher.createGrammarMatcher(compiled);
              return new TokenMatcher(matcher, this.#vocabSize, (run) => this.#guarded(run));
            }),
          dispose: () => compiled.dispose(),
        };
      } finally {
        grammar.dispose();
      }
    });
  }

  async #guarded<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      this.isTainted = true;
      throw error;
    }
  }
}

export interface CompiledGrammar {
  matcher(): Promise<TokenMatcher>;
  dispose(): void;
}

/** One text on its way through a grammar. */
export class TokenMatcher {
  readonly #matcher: Matcher;
  readonly #vocabSize: number;
  readonly #guarded: <T>(run: () => Promise<T>) => Promise<T>;

  constructor(
    matcher: Matcher,
    vocabSize: number,
    guarded: <T>(run: () => Promise<T>) => Promise<T>,
  ) {
    this.#matcher = matcher;
    this.#vocabSize = vocabSize;
    this.#guarded = guarded;
  }

  /** @returns false where the token may not come next; then nothing has changed. */
  accept(id: number): Promise<boolean> {
    return this.#guarded(async () => this.#matcher.acceptToken(id));
  }

  /** End tokens are set where the text may end. */
  async mask(): Promise<Uint32Array> {
    const mask = await this.#guarded(() => this.#matcher.getNextTokenBitmask());
    // It leaves the bits behind the vocabulary as they were.
    const numBehind = mask.length * 32 - this.#vocabSize;
    mask[mask.length - 1] &= 0xffffffff >>> numBehind;
    return new Uint32Array(mask.buffer, mask.byteOffset, mask.length);
  }

  rollBack(numTokens: number): Promise<void> {
    return this.#guarded(async () => this.#matcher.rollBack(numTokens));
  }

  dispose(): void {
    this.#matcher.dispose();
  }
}

async function load(): Promise<Library> {
  const scope = globalThis as typeof globalThis & {
    xgrammar?: Library;
    require?: unknown;
    __filename?: string;
  };
  if (scope.xgrammar) return scope.xgrammar;
  if (typeof document === "undefined") {
    const [{ createRequire }, { fileURLToPath }] = await Promise.all([
      import("node:module"),
      import("node:url"),
    ]);
    scope.require = createRequire(import.meta.url);
    scope.__filename = fileURLToPath(import.meta.url);
  }
  // As an ES module it exports nothing, so it is run for what it leaves behind.
  await import("@mlc-ai/web-xgrammar");
  if (!scope.xgrammar) throw new Error("@mlc-ai/web-xgrammar left nothing on globalThis");
  return scope.xgrammar;
}

/**
 * Bytes in GPT-2's alphabet, which the library reads back into bytes: its texts are UTF-8, which could not carry
 * a piece of a character. None: the token is never allowed.
 * @see https://github.com/openai/gpt-2/blob/master/src/encoder.py (bytes_to_unicode)
 */
const byteLevel = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => ALPHABET[byte]).join("");

const ALPHABET: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCharCode(prints ? byte : next++);
  });
})();
