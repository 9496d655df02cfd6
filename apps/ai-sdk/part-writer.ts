/**
 * Deltas of an answer as the AI SDK's parts, which open and close: at most one text or reasoning is open at
 * a time, and a tool's input until the next call or the end.
 */
import type { LanguageModelV3StreamPart } from "@ai-sdk/provider";

type Kind = "text" | "reasoning";

/** What a chunk adds to the answer. */
interface Delta {
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
  readonly tool_calls?: readonly {
    readonly index: number;
    readonly id?: string;
    readonly function?: { readonly name?: string; readonly arguments?: string };
  }[];
}

interface Call {
  readonly index: number;
  readonly id: string;
  readonly toolName: string;
  input: string;
}

export class PartWriter {
  #open: { readonly kind: Kind; readonly id: string } | undefined;
  #call: Call | undefined;
  #count = 0;

  *push({ content, reasoning_content: reasoning, tool_calls: calls }: Delta): Parts {
    if (reasoning) yield* this.#say("reasoning", reasoning);
    if (content) yield* this.#say("text", content);
    for (const { index, id, function: called } of calls ?? []) {
      if (this.#call?.index !== index) {
        yield* this.close();
        yield* this.#begin({ index, id: id ?? crypto.randomUUID(), toolName: called?.name ?? "" });
      }
      if (called?.arguments) yield this.#add(called.arguments);
    }
  }

  /** Closes what is open. */
  *close(): Parts {
    const { kind, id } = this.#open ?? {};
    const call = this.#call;
    this.#open = undefined;
    this.#call = undefined;
    if (kind !== undefined && id !== undefined) yield { type: `${kind}-end`, id };
    if (!call) return;
    yield { type: "tool-input-end", id: call.id };
    const { id: toolCallId, toolName, input } = call;
    // A function without parameters may be called with nothing at all.
    yield { type: "tool-call", toolCallId, toolName, input: input.trim() === "" ? "{}" : input };
  }

  *#say(kind: Kind, delta: string): Parts {
    if (this.#open?.kind !== kind) {
      yield* this.close();
      this.#open = { kind, id: `${kind}-${this.#count++}` };
      yield { type: `${kind}-start`, id: this.#open.id };
    }
    yield { type: `${kind}-delta`, id: this.#open.id, delta };
  }

  *#begin(call: Omit<Call, "input">): Parts {
    this.#call = { ...call, input: "" };
    yield { type: "tool-input-start", id: call.id, toolName: call.toolName };
  }

  #add(delta: string): LanguageModelV3StreamPart {
    const call = this.#call!;
    call.input += delta;
    return { type: "tool-input-delta", id: call.id, delta };
  }
}

type Parts = Iterable<LanguageModelV3StreamPart>;
