/**
 * A guide that ends thinking at its budget: softly, at the end of a line or sentence in the last part of
 * the budget, or else where it ends, so that the answer has its share of the tokens. What comes behind may
 * have a guide of its own.
 */
import { Detokenizer } from "../tokenizer/detokenizer.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { FREE, type Guidance, type Guide, type Mask } from "./guide.ts";

/** Plain data. */
export interface ThinkingOptions {
  /** What begins and ends thinking in the text. */
  readonly open: string;
  readonly close: string;
  /** What is said where the budget ends it: `close`, and what leads to the answer. */
  readonly cut: string;
  /** The prompt has opened it. */
  readonly isOpen: boolean;
  /** Most tokens of thinking, `open` and `cut` not counted; undefined for any number. */
  readonly budgetTokens?: number;
}

/** Of the budget, the last part in which thinking ends with a line or sentence. */
const SOFT_SHARE = 1 / 8;
const END_OF_THOUGHT = /[.!?。！？\n]\s*$/;

export class ThinkingGuide implements Guide {
  readonly #options: ThinkingOptions;
  readonly #answer: Guide | undefined;
  readonly #detokenizer: Detokenizer;
  readonly #encode: (text: string) => readonly number[];
  readonly #budget: number;
  readonly #softFrom: number;
  #state: "before" | "thinking" | "after";
  /** Of what was said, as much as may matter. */
  #text = "";
  #numThinking = 0;

  /** @param answer Guides what comes behind. */
  constructor(tokenizer: Tokenizer, options: ThinkingOptions, answer?: Guide) {
    this.#options = options;
    this.#answer = answer;
    this.#detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens: false });
    this.#encode = (text) => tokenizer.encode(text, { addSpecialTokens: false });
    this.#budget = options.budgetTokens ?? Number.POSITIVE_INFINITY;
    this.#softFrom = Math.floor(this.#budget * (1 - SOFT_SHARE));
    this.#state = options.isOpen ? "thinking" : "before";
  }

  next(tokenIds: readonly number[], remaining: number): Promise<Guidance> | undefined {
    if (this.#state === "after") return this.#answer?.next(tokenIds, remaining);
    const { isOpen, open } = this.#options;
    const isFirst = tokenIds.length === 0;
    // Where it may not think at all, it is told so.
    if (isFirst && this.#budget === 0) return this.#end(isOpen ? "" : open, remaining);
    for (const id of tokenIds) {
      this.#text += this.#detokenizer.push(id);
      if (this.#state === "thinking") this.#numThinking += 1;
    }
    if (this.#state === "before") return this.#begin(isFirst, remaining);
    return this.#think(isFirst, remaining);
  }

  /** Of the answer; nobody asks while it thinks. */
  async fitting(drafts: readonly number[], remaining: number): Promise<readonly Mask[]> {
    return (await this.#answer?.fitting?.(drafts, remaining)) ?? [];
  }

  async verify(): Promise<string | undefined> {
    return this.#answer?.verify?.();
  }

  close(): void {
    this.#answer?.close();
  }

  /**
   * It thinks if it begins with what opens thinking. Where the answer has a guide it is made to: otherwise its
   * first token would be free to be neither.
   */
  #begin(isFirst: boolean, remaining: number): Promise<Guidance> | undefined {
    const { open } = this.#options;
    if (this.#answer) {
      this.#state = "thinking";
      const given = this.#encode(open).slice(0, remaining);
      return Promise.resolve({ ...this.#pauseIn(1), given });
    }
    const said = this.#text.trimStart();
    if (said.startsWith(open)) {
      this.#state = "thinking";
      this.#text = said.slice(open.length);
      return this.#think(true, remaining);
    }
    if (isFirst || open.startsWith(said)) return Promise.resolve(this.#pauseIn(1));
    this.#state = "after";
    return Promise.resolve(FREE);
  }

  #think(isFirst: boolean, remaining: number): Promise<Guidance> | undefined {
    const { close } = this.#options;
    const at = this.#text.indexOf(close);
    if (at >= 0) {
      this.#state = "after";
      if (!this.#answer) return Promise.resolve(FREE);
      return this.#lead(this.#afterClose, remaining);
    }
    const isAtEnd = this.#numThinking >= this.#budget;
    const isSoft = this.#numThinking >= this.#softFrom && END_OF_THOUGHT.test(this.#text);
    if (isAtEnd || isSoft) return this.#end("", remaining);
    // What opens a tag may be the beginning of `close`.
    this.#text = this.#text.slice(-Math.max(8, close.length));
    if (this.#answer || this.#numThinking >= this.#softFrom)
      return Promise.resolve(this.#pauseIn(1));
    if (!isFirst) return undefined;
    return Promise.resolve(this.#pauseIn(Math.max(1, this.#softFrom)));
  }

  #end(before: string, remaining: number): Promise<Guidance> {
    this.#state = "after";
    return this.#lead(before + this.#options.cut, remaining);
  }

  get #afterClose(): string {
    const { cut, close } = this.#options;
    return cut.slice(cut.indexOf(close) + close.length);
  }

  /** @param text Said whatever the model says, and then the answer. */
  async #lead(text: string, remaining: number): Promise<Guidance> {
    const lead = text === "" ? [] : this.#encode(text).slice(0, remaining);
    if (!this.#answer) return { ...FREE, given: lead };
    const guidance = await this.#answer.next([], remaining - lead.length)!;
    return { ...guidance, given: [...lead, ...guidance.given] };
  }

  #pauseIn(pausesIn: number): Guidance {
    return { ...FREE, pausesIn };
  }
}
