/**
 * Tokens of one sequence to pieces of text: detokenises, cuts at stop texts, and hands pieces to the
 * reader as an async iterator. Owns what a reader sees after an abort or an error.
 */
import type { GenerateChunk, GenerateRequest, TokenLogprob, Usage } from "./request.ts";
import { stopList } from "./request.ts";
import type { SampledToken } from "./sampler.ts";
import { Detokenizer } from "./tokenizer/detokenizer.ts";
import { StopMatcher } from "./tokenizer/stop-matcher.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export class Answer implements AsyncIterable<GenerateChunk> {
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopMatcher;
  readonly #stopIds: ReadonlySet<number>;
  readonly #promptTokens: number;
  readonly #onAbandon: () => void;
  #completionTokens = 0;
  #pieces: GenerateChunk[] = [];
  #done = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  /** @param onAbandon The reader left before the end. */
  constructor(
    tokenizer: Tokenizer,
    request: GenerateRequest,
    promptIds: readonly number[],
    onAbandon: () => void,
  ) {
    const { skipSpecialTokens = true, stopTokenIds = [], ignoreEos = false } = request;
    // A text goes on where the prompt ended; after ids, which a chat template made, it begins anew.
    const after = typeof request.prompt === "string" ? promptIds : undefined;
    this.#detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens, after });
    this.#stops = new StopMatcher(stopList(request));
    this.#stopIds = new Set([...stopTokenIds, ...(ignoreEos ? [] : tokenizer.eosTokenIds)]);
    this.#promptTokens = promptIds.length;
    this.#onAbandon = onAbandon;
  }

  /** @returns Whether the answer ends with this token. */
  push({ id, logprobs }: SampledToken): boolean {
    this.#completionTokens += 1;
    const ends = this.#stopIds.has(id);
    // The token that ends an answer is counted and reported, but is no part of its text.
    const text = ends ? "" : this.#stops.push(this.#detokenizer.push(id));
    this.#emit({ text, tokenIds: [id], ...reported(logprobs) });
    return ends || this.#stops.matched !== undefined;
  }

  finish(finishReason: "stop" | "length"): void {
    const matched = this.#stops.matched !== undefined;
    const rest = matched ? "" : this.#stops.push(this.#detokenizer.flush()) + this.#stops.flush();
    this.#emit({ text: rest, tokenIds: [], finishReason, usage: this.#usage() });
    this.#done = true;
  }

  fail(error: unknown): void {
    this.#error ??= error;
    this.#done = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerateChunk, void, undefined> {
    try {
      while (true) {
        yield* this.#pieces.splice(0);
        if (this.#pieces.length > 0) continue;
        if (this.#error !== undefined) throw this.#error;
        if (this.#done) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      if (!this.#done) this.#onAbandon();
    }
  }

  #usage(): Usage {
    return { promptTokens: this.#promptTokens, completionTokens: this.#completionTokens };
  }

  #emit(chunk: GenerateChunk): void {
    this.#pieces.push(chunk);
    this.#wake?.();
  }
}

const reported = (logprobs: readonly TokenLogprob[] | undefined) =>
  logprobs === undefined ? {} : { logprobs: [logprobs] };
