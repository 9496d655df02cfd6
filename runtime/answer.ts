/** Tokens of one sequence to pieces of text: detokenises, and cuts at stop texts. */
import type { GenerateChunk, GenerateRequest, TokenLogprob } from "./request.ts";
import { stopList } from "./request.ts";
import type { SampledToken } from "./sampler.ts";
import { Detokenizer } from "./tokenizer/detokenizer.ts";
import { StopMatcher } from "./tokenizer/stop-matcher.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export class Answer {
  readonly #index: number;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopMatcher;
  readonly #stopIds: ReadonlySet<number>;
  #numTokens = 0;

  /** @param index Which of the request's answers it is. */
  constructor(
    tokenizer: Tokenizer,
    request: GenerateRequest,
    promptIds: readonly number[],
    index: number,
  ) {
    const { skipSpecialTokens = true, stopTokenIds = [], ignoreEos = false } = request;
    // A text goes on where the prompt ended; after ids, which a chat template made, it begins anew.
    const goesOn = request.goesOn ?? typeof request.prompt === "string";
    const after = goesOn ? promptIds : undefined;
    this.#index = index;
    this.#detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens, after });
    this.#stops = new StopMatcher(stopList(request));
    this.#stopIds = new Set([...stopTokenIds, ...(ignoreEos ? [] : tokenizer.eosTokenIds)]);
  }

  get numTokens(): number {
    return this.#numTokens;
  }

  /** @returns The token's piece, and whether the answer ends with it. */
  push({ id, logprobs }: SampledToken): { readonly chunk: GenerateChunk; readonly ends: boolean } {
    this.#numTokens += 1;
    const isStop = this.#stopIds.has(id);
    // The token that ends an answer is counted and reported, but is no part of its text.
    const text = isStop ? "" : this.#stops.push(this.#detokenizer.push(id));
    const chunk = { index: this.#index, text, tokenIds: [id], ...reported(logprobs) };
    return { chunk, ends: isStop || this.#stops.matched !== undefined };
  }

  /** @returns What was held back so far, and why there is no more. */
  finish(finishReason: "stop" | "length"): GenerateChunk {
    const matched = this.#stops.matched !== undefined;
    const rest = matched ? "" : this.#stops.push(this.#detokenizer.flush()) + this.#stops.flush();
    return { index: this.#index, text: rest, tokenIds: [], finishReason };
  }
}

const reported = (logprobs: readonly TokenLogprob[] | undefined) =>
  logprobs === undefined ? {} : { logprobs: [logprobs] };
