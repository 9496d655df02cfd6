/** The answers to one request, as they come, in one stream. Owns what they count together. */
import { Answer } from "./answer.ts";
import { ChunkStream } from "./chunk-stream.ts";
import type { GenerateChunk, GenerateRequest, Usage } from "./request.ts";
import type { SampledToken } from "./sampler.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export class Answers implements AsyncIterable<GenerateChunk> {
  readonly #answers: readonly Answer[];
  readonly #stream: ChunkStream<GenerateChunk>;
  readonly #promptTokens: number;
  readonly #layers: Pick<Usage, "layersExecuted" | "lossy"> | undefined;
  #numUnfinished: number;
  #layerTokens = 0;

  /**
   * @param onAbandon The reader left before the end of all.
   * @param layers Reported of a request with a layer policy.
   */
  constructor(
    tokenizer: Tokenizer,
    request: GenerateRequest,
    promptIds: readonly number[],
    onAbandon: () => void,
    layers?: Pick<Usage, "layersExecuted" | "lossy">,
  ) {
    const { n = 1 } = request;
    this.#answers = Array.from(
      { length: n },
      (_, index) => new Answer(tokenizer, request, promptIds, index),
    );
    this.#stream = new ChunkStream(onAbandon);
    this.#promptTokens = promptIds.length;
    this.#layers = layers;
    this.#numUnfinished = n;
  }

  get count(): number {
    return this.#answers.length;
  }

  /** @returns Whether the answer ends with this token. */
  push(index: number, token: SampledToken): boolean {
    const { chunk, ends } = this.#answers[index].push(token);
    this.#stream.push(chunk);
    return ends;
  }

  /** @param layerTokens Layers run for its tokens but the first, one for each token and layer. */
  finish(index: number, finishReason: "stop" | "length", layerTokens: number): void {
    this.#layerTokens += layerTokens;
    const chunk = this.#answers[index].finish(finishReason);
    this.#numUnfinished -= 1;
    if (this.#numUnfinished > 0) {
      this.#stream.push(chunk);
    } else {
      this.#stream.push({ ...chunk, usage: this.#usage() });
      this.#stream.end();
    }
  }

  fail(error: unknown): void {
    this.#stream.fail(error);
  }

  [Symbol.asyncIterator](): AsyncGenerator<GenerateChunk, void, undefined> {
    return this.#stream[Symbol.asyncIterator]();
  }

  /** The prompt is there once, whatever the number of answers. */
  #usage(): Usage {
    const completionTokens = this.#answers.reduce((sum, { numTokens }) => sum + numTokens, 0);
    const usage = { promptTokens: this.#promptTokens, completionTokens };
    if (this.#layers === undefined) return usage;
    // An answer's first token comes of its prompt.
    const computed = completionTokens - this.count;
    const { lossy, layersExecuted: planned } = this.#layers;
    return {
      ...usage,
      lossy,
      layersExecuted: computed > 0 ? this.#layerTokens / computed : planned,
    };
  }
}
