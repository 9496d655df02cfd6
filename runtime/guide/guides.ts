/** Opens the guides of a request's answers. Owns the compiler of grammars, which comes with the first that needs it. */
import type { ConstraintCompiler } from "../constraint/constraint-compiler.ts";
import type { Port } from "../remote/port.ts";
import type { GenerateRequest } from "../request.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { GrammarGuide } from "./grammar-guide.ts";
import type { Guidance, Guide } from "./guide.ts";
import { ThinkingGuide } from "./thinking-guide.ts";

/** A guide, and what it says of the first token. */
export interface OpenGuide {
  readonly guide: Guide;
  readonly guidance: Guidance;
}

export interface GuidesOptions {
  readonly tokenizer: Tokenizer;
  /** The model's, which may be more than the tokenizer has. */
  readonly vocabSize: number;
  /** Starts the worker that knows grammars. */
  readonly dial?: () => Port | Promise<Port>;
}

export class Guides {
  readonly #options: GuidesOptions;
  #compiler: Promise<ConstraintCompiler> | undefined;

  constructor(options: GuidesOptions) {
    this.#options = options;
  }

  /**
   * @returns One for each answer; none where nothing is asked for that needs one.
   * @throws {WeftError} `bad_request` for a grammar that does not compile, `aborted`.
   */
  async open(
    { constraint, thinking, n = 1, topLogprobs }: GenerateRequest,
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<OpenGuide[]> {
    if (!constraint && !thinking) return [];
    const guides: Guide[] = [];
    try {
      for (let index = 0; index < n; index++) {
        let guide: Guide | undefined;
        if (constraint) {
          this.#compiler ??= this.#newCompiler();
          const compiled = await (await this.#compiler).compile(constraint, signal);
          guide = new GrammarGuide(compiled, topLogprobs === undefined);
        }
        if (thinking) guide = new ThinkingGuide(this.#options.tokenizer, thinking, guide);
        guides.push(guide!);
      }
      const opened = guides.map(async (guide) => {
        return { guide, guidance: (await guide.next([], maxTokens))! };
      });
      return await Promise.all(opened);
    } catch (error) {
      for (const guide of guides) guide.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    (await this.#compiler?.catch(() => undefined))?.close();
  }

  async #newCompiler(): Promise<ConstraintCompiler> {
    const { ConstraintCompiler } = await import("../constraint/constraint-compiler.ts");
    const dial = this.#options.dial ?? inThread;
    return new ConstraintCompiler({ ...this.#options, dial });
  }
}

/** Where the platform brings no worker. */
const inThread = async () => (await import("../constraint/in-thread-port.ts")).inThreadPort();
