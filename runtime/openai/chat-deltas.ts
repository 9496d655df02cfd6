/** Texts of one answer to deltas: content, thinking and tool calls, as the model's family writes them. */
import type { AnswerParser, AnswerPart } from "../chat-format/chat-format.ts";
import type { ChatDelta, ChatToolCallDelta } from "./chat-answer.ts";

export class ChatDeltas {
  readonly #parser: AnswerParser;
  #hasBegun = false;
  #isThinking: boolean;
  #hasCalls = false;
  #numThinking = 0;
  /** Of thinking, if more of it follows: what ends it is none. */
  #numHeld = 0;

  constructor(parser: AnswerParser, startsThinking: boolean) {
    this.#parser = parser;
    this.#isThinking = startsThinking;
  }

  get hasCalls(): boolean {
    return this.#hasCalls;
  }

  /** Tokens of thinking, but for those that begin and end it. */
  get numThinking(): number {
    return this.#numThinking;
  }

  /**
   * @param numTokens That the text is of.
   * @param isLast Nothing follows, and what was held back is given.
   */
  push(text: string, numTokens: number, isLast: boolean): ChatDelta {
    const parts = this.#parser.push(text);
    if (isLast) parts.push(...this.#parser.flush());
    const last = parts.at(-1);
    if (last) this.#isThinking = last.type === "reasoning";
    this.#countThinking(
      numTokens,
      parts.some(({ type }) => type === "reasoning"),
    );
    const content = textOf(parts, "content");
    const reasoning = textOf(parts, "reasoning");
    const calls = callsOf(parts);
    this.#hasCalls ||= calls.length > 0;
    const role = this.#hasBegun ? {} : { role: "assistant" as const };
    this.#hasBegun = true;
    return {
      ...role,
      ...(content !== "" && { content }),
      ...(reasoning !== "" && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    };
  }

  #countThinking(numTokens: number, hasThought: boolean): void {
    if (!hasThought) {
      this.#numHeld = this.#isThinking ? this.#numHeld + numTokens : 0;
      return;
    }
    this.#numThinking += this.#numHeld + numTokens;
    this.#numHeld = 0;
  }
}

const textOf = (parts: readonly AnswerPart[], type: "content" | "reasoning"): string =>
  parts.map((part) => (part.type === type ? part.text : "")).join("");

/** What is there of a call at once comes as one. */
function callsOf(parts: readonly AnswerPart[]): ChatToolCallDelta[] {
  const calls: { -readonly [K in keyof ChatToolCallDelta]: ChatToolCallDelta[K] }[] = [];
  for (const part of parts) {
    if (part.type === "tool_call") {
      const { index, id, name } = part;
      calls.push({ index, id, type: "function", function: { name, arguments: "" } });
    } else if (part.type === "tool_arguments") {
      const { index, text } = part;
      const known = calls.find((call) => call.index === index);
      const said = known?.function ?? {};
      const more = { ...said, arguments: (said.arguments ?? "") + text };
      if (known) known.function = more;
      else calls.push({ index, function: more });
    }
  }
  return calls;
}
