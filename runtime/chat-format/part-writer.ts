/** The parts of an answer as they are read: joins neighbours, counts calls, and names them. */
import type { AnswerPart } from "./chat-format.ts";

export class PartWriter {
  #parts: AnswerPart[] = [];
  #calls = 0;
  #hasContent = false;
  readonly #makeId: () => string;

  constructor(makeId: () => string = callId) {
    this.#makeId = makeId;
  }

  /** Words were said: what separates others from them is said too. */
  get hasContent(): boolean {
    return this.#hasContent;
  }

  content(text: string): void {
    this.#hasContent ||= text !== "";
    this.#text("content", text);
  }

  reasoning(text: string): void {
    this.#text("reasoning", text);
  }

  /** @param id As the model gave it, if it did. */
  call(name: string, id = this.#makeId()): void {
    this.#parts.push({ type: "tool_call", index: this.#calls++, id, name });
  }

  /** Of the call that was begun last. */
  callArguments(text: string): void {
    if (text === "") return;
    const index = this.#calls - 1;
    const last = this.#parts.at(-1);
    if (last?.type === "tool_arguments") {
      this.#parts[this.#parts.length - 1] = { ...last, text: last.text + text };
    } else {
      this.#parts.push({ type: "tool_arguments", index, text });
    }
  }

  take(): AnswerPart[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }

  #text(type: "content" | "reasoning", text: string): void {
    if (text === "") return;
    const last = this.#parts.at(-1);
    if (last?.type === type) {
      this.#parts[this.#parts.length - 1] = { type, text: last.text + text };
    } else {
      this.#parts.push({ type, text });
    }
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Letters and digits; some likelier than others by a quarter, which does not matter to an id. */
export const randomLetters = (count: number): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => ALPHABET[byte % 62]).join("");

const callId = (): string => `call_${randomLetters(24)}`;
