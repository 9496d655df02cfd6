/**
 * One answer to its caller, whoever makes it: the same head on every chunk, nothing twice, and what is
 * asked of the next one when the first breaks off.
 */
import type { SharedRequest } from "../openai/shared-request.ts";
import type { CompletionUsage } from "../openai/usage.ts";
import type { AnyChoice, AnyChunk, Endpoint } from "./endpoint.ts";

export class JoinedAnswer<R extends SharedRequest, Choice extends AnyChoice> {
  readonly #endpoint: Endpoint<R, Choice>;
  readonly #request: R;
  readonly #begun = new Set<number>();
  readonly #ended = new Set<number>();
  #head: Omit<AnyChunk<Choice>, "choices" | "usage"> | undefined;
  #text = "";
  #isPlain = true;
  #hasSaid = false;
  /** Tokens of the maker's that was asked first, as far as they can be counted. */
  #numBefore = 0;
  #numPieces = 0;
  /** Of the present maker. */
  #usage: CompletionUsage | undefined;
  /** Said already, and left out of what the next one was asked to go on from. */
  #repeated = "";

  constructor(endpoint: Endpoint<R, Choice>, request: R) {
    this.#endpoint = endpoint;
    this.#request = request;
  }

  /** Its caller has some of it. */
  get hasSaid(): boolean {
    return this.#hasSaid;
  }

  get isComplete(): boolean {
    return this.#ended.size >= this.#endpoint.numAnswers(this.#request);
  }

  /** What of the chunk is new to the caller. */
  take(chunk: AnyChunk<Choice>): AnyChunk<Choice> | undefined {
    this.#usage = chunk.usage ?? this.#usage;
    const choices = (chunk.choices ?? []).flatMap((choice) => this.#choice(choice));
    return choices.length > 0 ? { ...this.#headOf(chunk), choices, usage: null } : undefined;
  }

  /** The last chunk, which tells what was counted; after an answer of two parts as well as it is known. */
  usage(): AnyChunk<Choice> {
    return { ...this.#head!, choices: [], usage: this.#counted() };
  }

  /**
   * What to ask another maker: all of it, or the rest.
   * @returns Nothing where what was said cannot be gone on from.
   */
  next(): R | undefined {
    if (!this.#hasSaid) {
      this.#usage = undefined;
      return this.#request;
    }
    // Templates cut white space at an answer's end, and models like to write it before a word.
    const text = this.#text.trimEnd();
    const rest = this.#isPlain ? this.#endpoint.rest(this.#request, text) : undefined;
    if (!rest) return undefined;
    this.#repeated = this.#text.slice(text.length);
    this.#numBefore += this.#usage?.completion_tokens ?? this.#numPieces;
    this.#numPieces = 0;
    this.#usage = undefined;
    return this.#limited(rest);
  }

  #choice(raw: Choice): Choice[] {
    const { index } = raw;
    if (this.#ended.has(index)) return [];
    const isNew = !this.#begun.has(index);
    const text = this.#unrepeated(this.#endpoint.textOf(raw));
    const isPlain = this.#endpoint.isPlain(raw);
    const says = text !== "" || !isPlain;
    if (!isNew && !says && !raw.finish_reason && !(raw as { logprobs?: unknown }).logprobs) {
      return [];
    }
    this.#begun.add(index);
    if (says) {
      this.#hasSaid = true;
      this.#isPlain &&= isPlain;
      this.#text += text;
      this.#numPieces += 1;
    }
    if (raw.finish_reason) this.#ended.add(index);
    const choice = this.#endpoint.choice(raw, text);
    return [isNew ? choice : withoutRole(choice)];
  }

  #unrepeated(text: string): string {
    if (this.#repeated === "" || text === "") return text;
    let same = 0;
    while (same < text.length && text[same] === this.#repeated[same]) same += 1;
    this.#repeated = same === text.length ? this.#repeated.slice(same) : "";
    return text.slice(same);
  }

  #limited(rest: R): R {
    const fields = ["max_completion_tokens", "max_tokens"] as const;
    const limits = rest as { readonly [K in (typeof fields)[number]]?: number | null };
    const left = fields
      .filter((field) => limits[field] != null)
      .map((field) => [field, Math.max(1, limits[field]! - this.#numBefore)]);
    return { ...rest, ...Object.fromEntries(left) };
  }

  #headOf({ id, created, model }: AnyChunk<Choice>) {
    this.#head ??= {
      id: id ?? `${this.#endpoint.idPrefix}-${crypto.randomUUID()}`,
      object: this.#endpoint.object,
      created: created ?? Math.floor(Date.now() / 1000),
      model: model ?? this.#request.model ?? "",
    };
    return this.#head;
  }

  #counted(): CompletionUsage {
    const { prompt_tokens: prompt = 0, completion_tokens: said = this.#numPieces } =
      this.#usage ?? {};
    const before = this.#numBefore;
    return {
      ...this.#usage,
      // What was said before was part of the second prompt.
      prompt_tokens: Math.max(0, prompt - before),
      completion_tokens: before + said,
      total_tokens: Math.max(0, prompt - before) + before + said,
    };
  }
}

function withoutRole<Choice extends AnyChoice>(choice: Choice): Choice {
  const { delta } = choice as { delta?: { role?: string } };
  if (!delta?.role) return choice;
  const { role: _, ...rest } = delta;
  return { ...choice, delta: rest };
}
