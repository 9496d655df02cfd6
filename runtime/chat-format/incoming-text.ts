/**
 * Text that comes in pieces, read as if it were whole: a reader is a generator that yields where it
 * needs more. So what it says cannot depend on where the pieces are cut.
 */
import type { AnswerParser } from "./chat-format.ts";
import { PartWriter } from "./part-writer.ts";

/** `yield` waits for more text, or for its end. */
export type Reading<T = void> = Generator<void, T, void>;

export interface FoundMarker {
  readonly marker: string;
  /** Whitespace before it, which was not given. */
  readonly space: string;
}

export class IncomingText {
  /** Came in, and is not taken yet. */
  rest = "";
  /** Nothing comes after `rest`. */
  ended = false;
  #record: string | undefined;

  take(count: number): string {
    const taken = this.rest.slice(0, count);
    this.rest = this.rest.slice(count);
    if (this.#record !== undefined) this.#record += taken;
    return taken;
  }

  /** From here on what is taken is kept, until `recorded` is asked for. */
  record(): void {
    this.#record = "";
  }

  recorded(): string {
    const record = this.#record ?? "";
    this.#record = undefined;
    return record;
  }

  /** The next character, "" at the end. */
  *peek(): Reading<string> {
    while (this.rest === "" && !this.ended) yield;
    return this.rest.charAt(0);
  }

  *startsWith(marker: string): Reading<boolean> {
    while (!this.ended && this.rest.length < marker.length && marker.startsWith(this.rest)) yield;
    return this.rest.startsWith(marker);
  }

  /** Takes the characters that are in `set`, as many as come. */
  *run(set: RegExp): Reading<string> {
    let run = "";
    for (let next = yield* this.peek(); next !== "" && set.test(next); next = yield* this.peek()) {
      run += this.take(1);
    }
    return run;
  }

  space(): Reading<string> {
    return this.run(/\s/);
  }

  /** Takes it, but where it stands between words before the call and others behind it. */
  *spaceBehindCall(hasContent: boolean): Reading {
    const space = yield* this.space();
    if (hasContent && this.rest !== "") this.rest = space + this.rest;
  }

  /**
   * Gives text on until one of the markers, which is taken; undefined where the text ends first.
   * Whitespace before a marker is not given; of the rest only what may begin a marker is held.
   */
  *until(
    markers: readonly string[],
    give: (text: string) => void,
  ): Reading<FoundMarker | undefined> {
    for (;;) {
      const found = firstOf(this.rest, markers);
      if (found) {
        const before = this.take(found.at);
        const text = before.trimEnd();
        give(text);
        this.take(found.marker.length);
        return { marker: found.marker, space: before.slice(text.length) };
      }
      give(this.take(this.ended ? this.rest.length : settled(this.rest, markers)));
      if (this.ended) return undefined;
      yield;
    }
  }
}

/** A parser whose reader writes parts as it goes; what it has not read at the end is content. */
export function parserOf(
  read: (text: IncomingText, parts: PartWriter) => Reading,
  makeId?: () => string,
): AnswerParser {
  const text = new IncomingText();
  const parts = new PartWriter(makeId);
  const reading = read(text, parts);
  return {
    push(piece) {
      text.rest += piece;
      reading.next();
      return parts.take();
    },
    flush() {
      text.ended = true;
      reading.next();
      parts.content(text.take(text.rest.length));
      return parts.take();
    },
  };
}

function firstOf(text: string, markers: readonly string[]) {
  let first: { at: number; marker: string } | undefined;
  for (const marker of markers) {
    const at = text.indexOf(marker);
    if (at >= 0 && (!first || at < first.at)) first = { at, marker };
  }
  return first;
}

/** How much of the text cannot be a marker's beginning, or whitespace before one. */
function settled(text: string, markers: readonly string[]): number {
  let end = text.length;
  for (const marker of markers) {
    for (let length = Math.min(marker.length - 1, text.length); length > 0; length--) {
      if (!marker.startsWith(text.slice(text.length - length))) continue;
      end = Math.min(end, text.length - length);
      break;
    }
  }
  return text.slice(0, end).trimEnd().length;
}
