/** The text side of a model: tokenizer, chat template, and what generation_config.json recommends. */
import type { ChatFormat, ChatFormatName } from "./chat-format/chat-format.ts";
import { checkChatFormat, detectChatFormat } from "./chat-format/detect.ts";
import { loadChatFormat } from "./chat-format/load-chat-format.ts";
import { WeftError } from "./errors.ts";
import { type ModelFiles, readModelFiles } from "./model-folder/config-files.ts";
import type { ModelFolder } from "./model-folder/model-folder.ts";
import type { SamplingOptions } from "./request.ts";
import type { ResolvedSampling } from "./sampler.ts";
import { ChatTemplate } from "./tokenizer/chat-template.ts";
import { Tokenizer } from "./tokenizer/tokenizer.ts";

export class TextModel {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** How the model's texts become embeddings where a request does not say, in the folder's words. */
  readonly pooling: ModelFiles["pooling"];
  readonly #generation: ModelFiles["generation"];
  readonly #formatName: ChatFormatName;
  #format: Promise<ChatFormat> | undefined;

  /** @param chatFormat Where the user knows better than the files show. */
  constructor(files: ModelFiles, chatFormat?: ChatFormatName) {
    checkChatFormat(chatFormat);
    this.#generation = files.generation;
    this.pooling = files.pooling;
    this.tokenizer = new Tokenizer({
      tokenizer: files.tokenizer,
      config: files.tokenizerConfig,
      eosTokenIds: files.generation.eosTokenIds,
    });
    this.template = new ChatTemplate({
      jinja: files.chatTemplate,
      configured: files.tokenizerConfig.chat_template,
      specialTokens: this.tokenizer.specialTokens,
    });
    this.#formatName =
      chatFormat ??
      detectChatFormat({
        template: this.template.source,
        addedTokens: this.tokenizer.addedTokens,
      });
  }

  static async open(
    folder: ModelFolder,
    { signal, chatFormat }: { signal?: AbortSignal; chatFormat?: ChatFormatName } = {},
  ): Promise<TextModel> {
    return new TextModel(await readModelFiles(folder, signal), chatFormat);
  }

  /** How the model writes thinking and tool calls; its code comes with the first chat. */
  chatFormat(): Promise<ChatFormat> {
    this.#format ??= loadChatFormat(this.#formatName);
    return this.#format;
  }

  /**
   * Text with the model's special tokens, or ids as they are. An empty prompt becomes the token that
   * begins or ends texts: a model needs one to start from.
   * @throws {WeftError} `bad_request` for an id outside the vocabulary.
   */
  encodePrompt(prompt: string | readonly number[], vocabSize: number): number[] {
    const { tokenizer } = this;
    const ids =
      typeof prompt === "string"
        ? tokenizer.encode(prompt, { addSpecialTokens: true })
        : [...prompt];
    const stray = ids.find((id) => id >= vocabSize);
    if (stray !== undefined) {
      throw new WeftError(
        "bad_request",
        `prompt has token id ${stray}, the model's vocabulary ends at ${vocabSize - 1}; ` +
          "encode the text with this model's tokenizer",
      );
    }
    const start = tokenizer.bosTokenId ?? tokenizer.eosTokenIds[0];
    return ids.length === 0 && start !== undefined ? [start] : ids;
  }

  /**
   * The request's values, else the model's, else off. `do_sample: false` makes greedy the default.
   * @param index Which of the request's answers draws: each as a request alone with the seed so much higher.
   */
  resolveSampling(request: SamplingOptions, index = 0): ResolvedSampling {
    const model = this.#generation;
    return {
      temperature: request.temperature ?? (model.doSample === false ? 0 : (model.temperature ?? 1)),
      topK: request.topK ?? model.topK ?? 0,
      topP: request.topP ?? model.topP ?? 1,
      minP: request.minP ?? model.minP ?? 0,
      repetitionPenalty: request.repetitionPenalty ?? model.repetitionPenalty ?? 1,
      presencePenalty: request.presencePenalty ?? 0,
      frequencyPenalty: request.frequencyPenalty ?? 0,
      logitBias: request.logitBias ?? {},
      topLogprobs: request.topLogprobs ?? null,
      seed:
        request.seed === undefined
          ? randomSeed()
          : BigInt.asUintN(64, BigInt(request.seed) + BigInt(index)),
    };
  }
}

const randomSeed = (): bigint => crypto.getRandomValues(new BigUint64Array(1))[0];
