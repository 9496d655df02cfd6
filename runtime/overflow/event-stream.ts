/**
 * Server-sent events from bytes that are cut anywhere. Reads what the HTML standard's "event stream"
 * allows: three kinds of line ends, comments, data of several lines. Refuses lines that do not end.
 */

/** Characters of one event; an answer's chunk has some hundreds. */
const MOST_CHARACTERS = 2 ** 22;

export class EventStream {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #data: string[] | undefined;
  #numCharacters = 0;

  /**
   * @returns The data of each event that is whole now.
   * @throws {RangeError} Where an event has no end.
   */
  push(bytes: Uint8Array): string[] {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const events: string[] = [];
    let at = 0;
    // What was left over has no end in it, but for a CR at its own.
    const seen = Math.max(0, this.#rest.length - 1);
    for (let end = lineEnd(text, seen); end; end = lineEnd(text, at)) {
      const event = this.#line(text.slice(at, end.from));
      if (event !== undefined) events.push(event);
      at = end.to;
    }
    this.#rest = text.slice(at);
    if (this.#rest.length + this.#numCharacters > MOST_CHARACTERS)
      throw new RangeError(`an event is longer than ${MOST_CHARACTERS} characters`);
    return events;
  }

  /** @returns The event that the line ends. */
  #line(line: string): string | undefined {
    if (line === "") {
      const event = this.#data?.join("\n");
      this.#data = undefined;
      this.#numCharacters = 0;
      return event;
    }
    // Comments begin with a colon; other fields than data say nothing that an answer needs.
    const match = /^data(?:: ?|$)/.exec(line);
    if (!match) return undefined;
    this.#data ??= [];
    this.#data.push(line.slice(match[0].length));
    this.#numCharacters += line.length;
    return undefined;
  }
}

/** Of the next line that is known to be whole: a CR at the end may have its LF still to come. */
function lineEnd(text: string, at: number): { from: number; to: number } | undefined {
  const ends = /\r\n?|\n/g;
  ends.lastIndex = at;
  const match = ends.exec(text);
  if (!match || (match[0] === "\r" && match.index + 1 === text.length)) return undefined;
  return { from: match.index, to: ends.lastIndex };
}
