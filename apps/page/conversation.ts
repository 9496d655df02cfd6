/**
 * One conversation: what was said, and the answer that is on its way. Sends and stops; draws nothing.
 * Each has a client of its own, so that conversations of a class get equal shares.
 */
import type { ChatCompletionChunk, SchedulingOptions } from "../../worker.ts";
import type { PageEngine } from "./engine.ts";
import { clientOf } from "./labels.ts";
import type { LayerWay } from "./layer-ways.ts";

export interface Turn {
  readonly role: "user" | "assistant";
  text: string;
  /** What a model that thinks thought before it answered. */
  thinking?: string;
  /** Of an answer. */
  state?: "waiting" | "writing" | "finished" | "stopped" | "failed";
  figures?: AnswerFigures;
  /** Why it failed, in the engine's words. */
  problem?: string;
}

export interface AnswerFigures {
  readonly tokens: number;
  readonly firstTokenMs: number;
  /** After the first token. */
  readonly tokensPerS: number;
  readonly reason: NonNullable<ChatCompletionChunk["choices"][0]["finish_reason"]>;
  /** Of an answer with a layer policy. */
  readonly layers?: number;
  readonly lossy?: boolean;
}

export interface AskOptions {
  readonly priority: NonNullable<SchedulingOptions["priority"]>;
  readonly way?: Pick<LayerWay, "policy">;
  readonly maxTokens: number;
  readonly temperature?: number;
  readonly systemPrompt?: string;
}

export class Conversation {
  /** A letter, or `load 3`; the client is named after it. */
  readonly name: string;
  readonly turns: Turn[] = [];
  readonly #onChange: (conversation: Conversation) => void;
  readonly #now: () => number;
  #abort: AbortController | undefined;

  constructor(
    name: string,
    onChange: (conversation: Conversation) => void = () => {},
    now: () => number = () => performance.now(),
  ) {
    this.name = name;
    this.#onChange = onChange;
    this.#now = now;
  }

  get isBusy(): boolean {
    return this.#abort !== undefined;
  }

  /** Resolves when the answer has ended, however it did: what went wrong is in its turn. */
  async send(engine: Pick<PageEngine, "chat">, text: string, options: AskOptions): Promise<Turn> {
    if (this.#abort) throw new Error(`${this.name} has not finished its answer`);
    this.turns.push({ role: "user", text });
    const { systemPrompt } = options;
    const messages = [
      ...(systemPrompt === undefined ? [] : [{ role: "system", content: systemPrompt }]),
      ...this.turns.map(({ role, text: content }) => ({ role, content })),
    ];
    const answer: Turn = { role: "assistant", text: "", state: "waiting" };
    this.turns.push(answer);
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#onChange(this);
    try {
      await this.#read(engine, messages, options, answer, signal);
    } catch (error) {
      answer.state = signal.aborted ? "stopped" : "failed";
      if (!signal.aborted) answer.problem = error instanceof Error ? error.message : `${error}`;
    }
    this.#abort = undefined;
    this.#onChange(this);
    return answer;
  }

  /** What was written so far stays. */
  stop(): void {
    this.#abort?.abort();
  }

  /** What was said is forgotten; an answer under way is stopped. */
  clear(): void {
    this.stop();
    this.turns.length = 0;
    this.#onChange(this);
  }

  async #read(
    { chat }: Pick<PageEngine, "chat">,
    messages: { role: string; content: string }[],
    { priority, way, maxTokens, temperature }: AskOptions,
    answer: Turn,
    signal: AbortSignal,
  ): Promise<void> {
    const sentMs = this.#now();
    let firstMs: number | undefined;
    let lastMs = sentMs;
    let reason: AnswerFigures["reason"] | undefined;
    const stream = await chat.completions.create(
      {
        ...{ messages, priority, client: clientOf(this.name), temperature },
        ...{ stream: true, stream_options: { include_usage: true } },
        ...{ max_tokens: maxTokens, layer_policy: way?.policy },
      },
      { signal },
    );
    for await (const { choices, usage } of stream) {
      for (const { delta, finish_reason } of choices) {
        reason ??= finish_reason ?? undefined;
        if (!delta.content && !delta.reasoning_content) continue;
        answer.text += delta.content ?? "";
        if (delta.reasoning_content) {
          answer.thinking = (answer.thinking ?? "") + delta.reasoning_content;
        }
        answer.state = "writing";
        lastMs = this.#now();
        firstMs ??= lastMs;
      }
      if (reason && usage) {
        const tokens = usage.completion_tokens;
        const spanS = (lastMs - (firstMs ?? lastMs)) / 1000;
        answer.state = "finished";
        answer.figures = {
          ...{ tokens, reason, layers: usage.layers_executed, lossy: usage.lossy },
          firstTokenMs: (firstMs ?? lastMs) - sentMs,
          tokensPerS: spanS > 0 ? (tokens - 1) / spanS : 0,
        };
      }
      this.#onChange(this);
    }
  }
}
