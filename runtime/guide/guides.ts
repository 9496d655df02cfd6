/** Opens the guides of a request's answers. Owns the compiler of grammars, which comes with the first that needs it. */
import type { ConstraintSpec } from "../constraint/constraint.ts";
import type { ConstraintCompiler } from "../constraint/constraint-compiler.ts";
import type { Port } from "../remote/port.ts";
import type { GenerateRequest } from "../request.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Guide } from "./guide.ts";
import type { Guided } from "./guided.ts";

/** Starts the worker that knows grammars. */
type Dial = () => Port | Promise<Port>;

export class Guides {
  readonly #tokenizer: Tokenizer;
  readonly #vocabSize: number;
  readonly #dial: Dial;
  #compiler: Promise<ConstraintCompiler> | undefined;

  /** @param spec The model's: its vocabulary may be more than the tokenizer has. */
  constructor(
    tokenizer: Tokenizer,
    { vocabSize }: { readonly vocabSize: number },
    dial: Dial = inThread,
  ) {
    this.#tokenizer = tokenizer;
    this.#vocabSize = vocabSize;
    this.#dial = dial;
  }

  /**
   * @returns One for each answer; none where nothing is asked for that needs one.
   * @throws {WeftError} `bad_request` for a grammar that does not compile, `aborted`.
   */
  async open(
    { constraint, thinking, n = 1, topLogprobs }: GenerateRequest,
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<Guided[]> {
    if (!constraint && !thinking) return [];
    const { GrammarGuide, Guided, ThinkingGuide } = await import("./kinds.ts");
    const guides: Guide[] = [];
    try {
      for (let index = 0; index < n; index++) {
        let guide: Guide | undefined;
        if (constraint) {
          this.#compiler ??= this.#newCompiler();
          const compiler = await this.#compiler;
          const compiled = await compiler.compile(constraint, signal);
          const judge = (ids: readonly number[]) => this.#judge(compiler, constraint, ids);
          guide = new GrammarGuide(compiled, topLogprobs === undefined, judge);
        }
        if (thinking) guide = new ThinkingGuide(this.#tokenizer, thinking, guide);
        guides.push(guide!);
      }
      return await Promise.all(guides.map((guide) => Guided.begin(guide, maxTokens)));
    } catch (error) {
      for (const guide of guides) guide.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    (await this.#compiler?.catch(() => undefined))?.close();
  }

  /** Masks are made of a grammar; that its texts fit the schema is for another to say. */
  async #judge(
    compiler: ConstraintCompiler,
    constraint: ConstraintSpec,
    ids: readonly number[],
  ): Promise<string | undefined> {
    if (constraint.type !== "json_schema") return undefined;
    return compiler.validate(constraint.schema, this.#tokenizer.decode(ids));
  }

  async #newCompiler(): Promise<ConstraintCompiler> {
    const { ConstraintCompiler } = await import("../constraint/constraint-compiler.ts");
    const [tokenizer, vocabSize, dial] = [this.#tokenizer, this.#vocabSize, this.#dial];
    return new ConstraintCompiler({ tokenizer, vocabSize, dial });
  }
}

/** Where the platform brings no worker. */
const inThread = async () => (await import("../constraint/in-thread-port.ts")).inThreadPort();
