/** What callers of the Prompt API write, as messages of a chat. Text alone: images and audio are refused. */
import type { ChatMessage } from "../../worker.ts";
import { domError } from "./dom-errors.ts";

export type PromptRole = "system" | "user" | "assistant";

export interface PromptContent {
  readonly type: "text" | "image" | "audio";
  readonly value: unknown;
}

export interface PromptMessage {
  readonly role: PromptRole;
  readonly content: string | readonly PromptContent[];
  /** The assistant's answer begins with it: of the last message alone. */
  readonly prefix?: boolean;
}

export type PromptInput = string | readonly PromptMessage[];

export interface ReadInput {
  readonly messages: readonly ChatMessage[];
  /** What the answer begins with. */
  readonly prefix: string | undefined;
}

/** @throws {DOMException} `NotSupportedError`, `SyntaxError`. */
export function readInput(input: PromptInput): ReadInput {
  if (typeof input === "string") {
    return { messages: [{ role: "user", content: input }], prefix: undefined };
  }
  if (!Array.isArray(input)) throw new TypeError("the input must be a text or a list of messages");
  const messages = (input as readonly PromptMessage[]).map((message, i) => {
    if (message?.role === "system") {
      throw new TypeError("a system message may only be the first of initialPrompts");
    }
    if (message?.prefix && (message.role !== "assistant" || i < input.length - 1)) {
      throw domError("SyntaxError", "prefix belongs to the last message, an assistant's");
    }
    return chatMessage(message);
  });
  if ((input.at(-1) as PromptMessage | undefined)?.prefix !== true) {
    return { messages, prefix: undefined };
  }
  return { messages: messages.slice(0, -1), prefix: String(messages.at(-1)?.content) };
}

/** @throws {DOMException} `NotSupportedError`. */
export function readInitial(prompts: readonly PromptMessage[] = []): ChatMessage[] {
  return prompts.map((message, i) => {
    if (message?.role === "system" && i > 0) {
      throw new TypeError("a system message may only be the first of initialPrompts");
    }
    if (message?.prefix) throw domError("SyntaxError", "initialPrompts have no prefix");
    return chatMessage(message);
  });
}

function chatMessage({ role, content }: PromptMessage): ChatMessage {
  if (role !== "system" && role !== "user" && role !== "assistant") {
    throw new TypeError(`role is ${JSON.stringify(role)}, it must be system, user or assistant`);
  }
  return { role, content: typeof content === "string" ? content : content.map(textOf).join("") };
}

function textOf({ type, value }: PromptContent): string {
  if (type !== "text") {
    throw domError("NotSupportedError", `content of the type ${type} cannot be read, only text`);
  }
  if (typeof value === "string") return value;
  throw new TypeError("the value of a text must be a string");
}

/** One after the other from one role are one message: many templates take turns alone. */
export function merged(messages: readonly ChatMessage[]): ChatMessage[] {
  const all: ChatMessage[] = [];
  for (const message of messages) {
    const last = all.at(-1);
    const isText = typeof last?.content === "string" && typeof message.content === "string";
    const isSame = last?.role === message.role && !last?.tool_calls && !message.tool_calls;
    if (last && isText && isSame && (message.role === "user" || message.role === "assistant")) {
      all[all.length - 1] = { ...last, content: `${last.content}\n\n${message.content}` };
    } else all.push(message);
  }
  return all;
}
