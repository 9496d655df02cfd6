/** A turn of a conversation: what was said, thought and called, and how turns go back to the model. Plain data. */
import type { ChatCompletionChunk, ChatMessage } from "../../worker.ts";

export interface Turn {
  readonly role: "user" | "assistant";
  text: string;
  /** What a model that thinks thought before it answered. */
  thinking?: string;
  /** What it asked of tools; a turn of its own follows once they have answered. */
  readonly calls: CalledTool[];
  /** Of an answer. */
  state?: "waiting" | "writing" | "finished" | "stopped" | "failed";
  figures?: AnswerFigures;
  /** Why it failed, in the engine's words. */
  problem?: string;
}

export interface CalledTool {
  id: string;
  name: string;
  /** JSON as the model writes it, whole once the turn is finished. */
  arguments: string;
  /** JSON; none yet, or never if the answer was stopped. */
  result?: string;
  /** What came of it after its result. */
  later?: string;
}

export interface AnswerFigures {
  readonly tokens: number;
  /** Of these. */
  readonly thinkingTokens: number;
  readonly firstTokenMs: number;
  /** After the first token. */
  readonly tokensPerS: number;
  readonly reason: NonNullable<ChatCompletionChunk["choices"][0]["finish_reason"]>;
  /** Of an answer with a layer policy. */
  readonly layers?: number;
  readonly lossy?: boolean;
}

export const turnOf = (role: Turn["role"], text = ""): Turn => ({ role, text, calls: [] });

/** Thoughts stay behind. A call that was never answered was never made. */
export function messagesOf(turns: readonly Turn[]): ChatMessage[] {
  return turns.flatMap(({ role, text: content, calls }): ChatMessage[] => {
    const answered = calls.filter(({ result }) => result !== undefined);
    if (answered.length === 0) return [{ role, content }];
    const made = answered.map(({ id, name, arguments: text }) => {
      return { id, type: "function", function: { name, arguments: text } };
    });
    return [
      { role, content, tool_calls: made },
      ...answered.map(({ id, result }) => ({ role: "tool", tool_call_id: id, content: result })),
    ];
  });
}
