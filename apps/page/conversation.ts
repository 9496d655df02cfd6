/**
 * One conversation: what was said, and the answer that is on its way. Sends, runs the tools that are called,
 * and stops; draws nothing. Each has a client of its own, so that conversations of a class get equal shares.
 */
import type { ChatDelta, ChatMessage, SchedulingOptions } from "../../worker.ts";
import type { AnswerRequest } from "./answer-options.ts";
import type { PageEngine } from "./engine.ts";
import { clientOf } from "./labels.ts";
import type { LayerWay } from "./layer-ways.ts";
import { resultOf } from "./tools.ts";
import { type AnswerFigures, messagesOf, type Turn, turnOf } from "./turn.ts";

export interface AskOptions {
  readonly priority: NonNullable<SchedulingOptions["priority"]>;
  readonly way?: Pick<LayerWay, "policy">;
  readonly maxTokens: number;
  readonly temperature?: number;
  readonly systemPrompt?: string;
  /** The answer's form, its thinking, and tools. */
  readonly answer?: AnswerRequest;
}

/** Of one answer: a model may call for ever. */
const MAX_ROUNDS_OF_CALLS = 4;

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
    this.turns.push(turnOf("user", text));
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    let answer = await this.#answer(engine, options, signal);
    for (let round = 0; round < MAX_ROUNDS_OF_CALLS && this.#callTools(answer); round++)
      answer = await this.#answer(engine, options, signal);
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

  async #answer(
    engine: Pick<PageEngine, "chat">,
    options: AskOptions,
    signal: AbortSignal,
  ): Promise<Turn> {
    const { systemPrompt } = options;
    const messages = [
      ...(systemPrompt === undefined ? [] : [{ role: "system", content: systemPrompt }]),
      ...messagesOf(this.turns),
    ];
    const answer: Turn = { ...turnOf("assistant"), state: "waiting" };
    this.turns.push(answer);
    this.#onChange(this);
    try {
      await this.#read(engine, messages, options, answer, signal);
    } catch (error) {
      answer.state = signal.aborted ? "stopped" : "failed";
      if (!signal.aborted) answer.problem = error instanceof Error ? error.message : `${error}`;
    }
    return answer;
  }

  /** @returns Whether the model is to go on with results. */
  #callTools({ state, figures, calls }: Turn): boolean {
    if (state !== "finished" || figures?.reason !== "tool_calls") return false;
    for (const call of calls) {
      call.result = resultOf(call, (later) => {
        call.later = later;
        this.#onChange(this);
      });
    }
    return true;
  }

  async #read(
    { chat }: Pick<PageEngine, "chat">,
    messages: ChatMessage[],
    { priority, way, maxTokens, temperature, answer: asked }: AskOptions,
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
        ...{ max_tokens: maxTokens, layer_policy: way?.policy, ...asked },
      },
      { signal },
    );
    for await (const { choices, usage } of stream) {
      for (const { delta, finish_reason } of choices) {
        reason ??= finish_reason ?? undefined;
        if (!add(delta, answer)) continue;
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
          thinkingTokens: usage.completion_tokens_details?.reasoning_tokens ?? 0,
          firstTokenMs: (firstMs ?? lastMs) - sentMs,
          tokensPerS: spanS > 0 ? (tokens - 1) / spanS : 0,
        };
      }
      this.#onChange(this);
    }
  }
}

/** @returns Whether it says anything. */
function add({ content, reasoning_content: thought, tool_calls: calls }: ChatDelta, turn: Turn) {
  turn.text += content ?? "";
  if (thought) turn.thinking = (turn.thinking ?? "") + thought;
  for (const { index, id = "", function: said } of calls ?? []) {
    turn.calls[index] ??= { id, name: said.name ?? "", arguments: "" };
    turn.calls[index].arguments += said.arguments ?? "";
  }
  return Boolean(content || thought || calls?.length);
}
