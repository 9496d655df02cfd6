/**
 * Writes an answer as it comes, thoughts told apart from what is said: dimmed on a screen. Elsewhere stdout is
 * the answer alone, and thoughts go to stderr.
 */
import type { Terminal } from "./command.ts";

const DIM = "\u001b[2m";
const NOT_DIM = "\u001b[22m";

export class AnswerWriter {
  readonly #terminal: Pick<Terminal, "stdout" | "stderr">;
  #isThinking = false;
  #hasThought = false;
  /** What was said so far. */
  text = "";

  constructor(terminal: Pick<Terminal, "stdout" | "stderr">) {
    this.#terminal = terminal;
  }

  think(thought: string): void {
    if (thought === "") return;
    const { stdout, stderr } = this.#terminal;
    if (!stdout.isTTY) stderr.write(thought);
    else stdout.write(this.#isThinking ? thought : DIM + thought);
    this.#isThinking = true;
    this.#hasThought = true;
  }

  say(piece: string): void {
    if (piece === "") return;
    this.#endThinking("\n\n");
    this.text += piece;
    this.#terminal.stdout.write(piece);
  }

  get isEmpty(): boolean {
    return this.text === "" && !this.#hasThought;
  }

  /** Also after an answer that was cut short: what follows begins a line. */
  end(): void {
    this.#endThinking("");
    if (!this.text.endsWith("\n")) this.#terminal.stdout.write("\n");
  }

  #endThinking(gap: string): void {
    if (!this.#isThinking) return;
    this.#isThinking = false;
    const { stdout, stderr } = this.#terminal;
    if (stdout.isTTY) stdout.write(NOT_DIM + gap);
    else stderr.write("\n");
  }
}
