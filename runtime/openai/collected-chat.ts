/** The chunks of a chat completion, joined to a whole one. */
import { WeftError } from "../errors.ts";
import type {
  ChatChunkChoice,
  ChatCompletion,
  ChatCompletionChoice,
  ChatCompletionChunk,
  ChatFinishReason,
  ChatTokenLogprob,
} from "./chat-answer.ts";

export async function collectChat(
  chunks: AsyncIterable<ChatCompletionChunk>,
): Promise<ChatCompletion> {
  const answers: CollectedAnswer[] = [];
  let last: ChatCompletionChunk | undefined;
  for await (const chunk of chunks) {
    last = chunk;
    for (const choice of chunk.choices) {
      answers[choice.index] ??= new CollectedAnswer();
      answers[choice.index].push(choice);
    }
  }
  if (!last?.usage) throw new WeftError("internal", "a completion ended without its usage");
  const { id, created, model, usage } = last;
  const choices = answers.map((answer, index) => answer.choice(index));
  return { id, object: "chat.completion", created, model, choices, usage };
}

class CollectedAnswer {
  #content = "";
  #reasoning = "";
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  readonly #tokens: ChatTokenLogprob[] = [];
  #hasLogprobs = false;
  #reason: ChatFinishReason | null = null;

  push({ delta, logprobs, finish_reason }: ChatChunkChoice): void {
    this.#content += delta.content ?? "";
    this.#reasoning += delta.reasoning_content ?? "";
    for (const { index, id = "", function: call } of delta.tool_calls ?? []) {
      this.#calls[index] ??= { id, name: call.name ?? "", arguments: "" };
      this.#calls[index].arguments += call.arguments ?? "";
    }
    this.#tokens.push(...(logprobs?.content ?? []));
    this.#hasLogprobs ||= logprobs !== null;
    this.#reason = finish_reason;
  }

  choice(index: number): ChatCompletionChoice {
    const calls = this.#calls.map(({ id, ...call }) => ({
      ...{ id, type: "function" as const, function: call },
    }));
    const saidNothing = this.#content === "" && calls.length > 0;
    return {
      index,
      message: {
        role: "assistant",
        content: saidNothing ? null : this.#content,
        ...(this.#reasoning !== "" && { reasoning_content: this.#reasoning }),
        ...(calls.length > 0 && { tool_calls: calls }),
        refusal: null,
      },
      logprobs: this.#hasLogprobs ? { content: this.#tokens, refusal: null } : null,
      finish_reason: this.#reason!,
    };
  }
}
