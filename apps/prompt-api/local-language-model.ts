/**
 * A session with a local model, shaped like Chrome's Prompt API (`LanguageModel`): what is written for the
 * browser's own model runs on one of ours. Owns the session; the browser's own is never touched.
 */
import type { ChatMessage } from "../../worker.ts";
import { type Answered, answer, checkTools, type PromptTool, toolFields } from "./answering.ts";
import { Conversation } from "./conversation.ts";
import { CreateMonitor } from "./create-monitor.ts";
import { domError, domErrorOf, quotaError } from "./dom-errors.ts";
import { type Availability, availability, SharedEngine } from "./model-source.ts";
import {
  isText,
  type LocalLanguageModelCoreOptions,
  type LocalLanguageModelOptions,
  type PromptOptions,
} from "./options.ts";
import { type PromptInput, readInitial, readInput } from "./prompt-input.ts";
import { responseFormat, told } from "./response-constraint.ts";
import { readSampling, type Sampling } from "./sampling.ts";
import { Turns } from "./turns.ts";

interface Parts {
  readonly shared: SharedEngine;
  readonly conversation: Conversation;
  readonly sampling: Sampling;
  readonly tools: readonly PromptTool[];
  readonly contextUsage: number;
}

/** Of the context window, what is left to an answer in any case. */
const ANSWER_SHARE = 1 / 8;
/** So long the engine keeps what it computed of the session, if nobody else needs the memory. */
const HOLD_MS = 600_000;

/**
 * A session, made by `create`: `prompt` and `promptStreaming` answer with what was said before in mind.
 *
 * @example
 * const session = await LocalLanguageModel.create({ model: "hf:Qwen/Qwen3-0.6B" });
 * console.log(await session.prompt("Name three rivers."));
 */
export class LocalLanguageModel extends EventTarget {
  readonly #parts: Omit<Parts, "contextUsage">;
  readonly #session: ReturnType<SharedEngine["engine"]["session"]>;
  readonly #turns = new Turns();
  #contextUsage: number;
  oncontextoverflow: ((this: LocalLanguageModel, event: Event) => unknown) | null = null;

  private constructor({ contextUsage, ...parts }: Parts) {
    super();
    this.#parts = parts;
    this.#contextUsage = contextUsage;
    this.#session = parts.shared.engine.session();
    this.addEventListener("contextoverflow", (event) => this.oncontextoverflow?.(event));
  }

  static async availability(options: LocalLanguageModelCoreOptions = {}): Promise<Availability> {
    return isText(options) ? availability(options) : "unavailable";
  }

  /**
   * @throws {DOMException} `NotSupportedError`, `QuotaExceededError` for initial prompts beyond the context
   *   window, `NetworkError`, `AbortError`; {TypeError} for an option that is none.
   *
   * @example
   * const session = await LocalLanguageModel.create({ model: "hf:Qwen/Qwen3-0.6B" });
   * for await (const text of session.promptStreaming("Name three rivers.")) show(text);
   */
  static async create(options: LocalLanguageModelOptions = {}): Promise<LocalLanguageModel> {
    const { initialPrompts, monitor, signal, tools = [] } = options;
    signal?.throwIfAborted();
    checkTools(tools);
    const sampling = readSampling(options);
    const conversation = new Conversation(readInitial(initialPrompts));
    if (!isText(options)) {
      throw domError("NotSupportedError", "only text is read and written; leave other types out");
    }
    const created = new CreateMonitor();
    monitor?.(created);
    created.tell(0);
    try {
      const shared = await SharedEngine.open(options, created, signal);
      const parts = { shared, conversation, sampling, tools: [...tools], contextUsage: 0 };
      const session = new LocalLanguageModel(parts);
      signal?.addEventListener("abort", () => session.#end(signal.reason));
      try {
        session.#contextUsage = await session.#count([]);
        if (session.#contextUsage > session.#room)
          throw quotaError(session.#contextUsage, session.#room);
      } catch (error) {
        session.destroy();
        throw error;
      }
      created.tell(1);
      return session;
    } catch (error) {
      throw domErrorOf(error, signal);
    }
  }

  /** Tokens of what was said so far, as far as it is remembered. */
  get contextUsage(): number {
    return this.#contextUsage;
  }

  /** Tokens of the longest conversation, the answer included. */
  get contextWindow(): number {
    return this.#parts.shared.engine.info.maxContext;
  }

  get topK(): number | undefined {
    return this.#parts.sampling.top_k;
  }

  get temperature(): number | undefined {
    return this.#parts.sampling.temperature;
  }

  /** @throws {DOMException} `QuotaExceededError`, `NotSupportedError`, `InvalidStateError`, `OperationError`. */
  prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    return this.#turns.take(options.signal, (signal) =>
      this.#prompt(input, options, () => {}, signal),
    );
  }

  /** Pieces of the answer as they are made. Cancelling it ends the answer, which is then not remembered. */
  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    const reader = new AbortController();
    const given = options.signal;
    const stop = () => reader.abort(given?.reason);
    if (given?.aborted) stop();
    given?.addEventListener("abort", stop, { once: true });
    return new ReadableStream<string>({
      start: (controller) => {
        const say = (text: string) => controller.enqueue(text);
        this.#turns
          .take(reader.signal, (signal) => this.#prompt(input, options, say, signal))
          .then(
            () => controller.close(),
            (error) => controller.error(error),
          )
          .catch(() => {})
          .finally(() => given?.removeEventListener("abort", stop));
      },
      cancel: (reason) => reader.abort(reason),
    });
  }

  /** Adds to what is remembered, and lets the model read it ahead of the next prompt. */
  async append(
    input: PromptInput,
    { signal }: Pick<PromptOptions, "signal"> = {},
  ): Promise<undefined> {
    await this.#turns.take(signal, async (stop) => {
      const { messages, prefix } = readInput(input);
      if (prefix !== undefined)
        throw domError("SyntaxError", "nothing is appended behind a prefix");
      const tokens = await this.#makeRoom(messages);
      const { conversation } = this.#parts;
      const request = { ...this.#request(conversation.with(messages)), max_completion_tokens: 1 };
      await this.#parts.shared.engine.chat.completions.create(request, { signal: stop });
      conversation.add(messages);
      this.#contextUsage = tokens;
      await this.#hold();
    });
  }

  /** Tokens that the input would add to what is remembered. */
  measureContextUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    return this.#turns.beside(options.signal, async () => {
      const { messages, prefix } = readInput(input);
      const asked = this.#asked(messages, prefix, options);
      const before = await this.#count([]);
      return Math.max(0, (await this.#count(asked)) - before);
    });
  }

  /** Another session that remembers the same, and goes its own way. */
  clone({ signal }: Pick<PromptOptions, "signal"> = {}): Promise<LocalLanguageModel> {
    return this.#turns.take(signal, async () => {
      const { shared, conversation, ...rest } = this.#parts;
      const contextUsage = this.#contextUsage;
      const parts = { shared: shared.share(), conversation: conversation.copy(), contextUsage };
      return new LocalLanguageModel({ ...rest, ...parts });
    });
  }

  /** Ends what is under way. Other sessions, clones too, go on. */
  destroy(): undefined {
    this.#end(domError("AbortError", "the session was destroyed"));
  }

  #end(reason: unknown): void {
    if (!this.#turns.end(reason)) return;
    void this.#session.release().catch(() => {});
    this.#parts.shared.leave();
  }

  async #prompt(
    input: PromptInput,
    options: PromptOptions,
    onText: (text: string) => void,
    signal: AbortSignal,
  ): Promise<string> {
    const { messages, prefix } = readInput(input);
    const { responseConstraint: constraint } = options;
    const asked = this.#asked(messages, prefix, options);
    await this.#makeRoom(asked);
    const { conversation, shared, tools } = this.#parts;
    const request = {
      ...this.#request(conversation.with(asked)),
      ...(prefix !== undefined && { continue_final_message: true }),
      ...(constraint && { response_format: responseFormat(constraint) }),
    };
    const answered = await answer(shared.engine, request, tools, onText, signal);
    conversation.add([...messages, ...begunWith(prefix, answered)]);
    this.#contextUsage = answered.contextTokens ?? (await this.#count([]));
    await this.#hold();
    return answered.text;
  }

  /** What the model is asked, which need not be what is remembered of it. */
  #asked(
    messages: readonly ChatMessage[],
    prefix: string | undefined,
    { responseConstraint: constraint, omitResponseConstraintInput: omits }: PromptOptions,
  ): readonly ChatMessage[] {
    const said = constraint && !omits ? told(messages, constraint) : messages;
    return prefix === undefined ? said : [...said, { role: "assistant", content: prefix }];
  }

  #request(messages: ChatMessage[]) {
    const { sampling, tools } = this.#parts;
    return { messages, ...sampling, ...toolFields(tools), session: this.#session.id };
  }

  /**
   * Forgets the oldest turns until the messages have room.
   * @returns Tokens of all, the messages included.
   */
  async #makeRoom(messages: readonly ChatMessage[]): Promise<number> {
    const { conversation } = this.#parts;
    let tokens = await this.#count(messages);
    if (tokens > this.#room) {
      const before = new Conversation(conversation.initial);
      const least = await this.#countOf(before.with(messages));
      // Nothing is forgotten for one that never fits.
      if (least > this.#room) throw quotaError(least, this.#room);
      while (tokens > this.#room && conversation.numTurns > 0) {
        conversation.forgetOldest();
        tokens = await this.#count(messages);
      }
      this.dispatchEvent(new Event("contextoverflow"));
    }
    return tokens;
  }

  get #room(): number {
    return Math.floor(this.contextWindow * (1 - ANSWER_SHARE));
  }

  #count(messages: readonly ChatMessage[]): Promise<number> {
    return this.#countOf(this.#parts.conversation.with(messages));
  }

  /** Nothing is computed for it. */
  async #countOf(messages: ChatMessage[]): Promise<number> {
    if (messages.length === 0) return 0;
    const request = { ...this.#request(messages), max_completion_tokens: 0 };
    const { usage } = await this.#parts.shared.engine.chat.completions.create(request);
    return usage.prompt_tokens;
  }

  async #hold(): Promise<void> {
    await this.#session.hold(HOLD_MS).catch(() => {});
  }
}

/** The answer as it is remembered: with what it was made to begin with. */
function begunWith(prefix: string | undefined, { messages }: Answered): readonly ChatMessage[] {
  const [first, ...rest] = messages;
  if (prefix === undefined) return messages;
  return [{ ...first, content: prefix + (first.content ?? "") }, ...rest];
}
