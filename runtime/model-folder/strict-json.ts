/**
 * JSON of files that nobody vouches for: as RFC 8259, but a repeated key is an error, objects are
 * Maps (a key called __proto__ is only a key), depth is bounded, and errors know where they are.
 */
import { reasonOf, WeftError } from "../errors.ts";

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = Map<string, JsonValue>;

const MAX_DEPTH = 64;

/** Where and why a text is not the JSON that was wanted; `file` is not known here. */
export class JsonError extends Error {
  readonly position: number;
  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

/** @throws {JsonError} */
export function parseStrictJson(text: string): JsonValue {
  return new Parser(text).document();
}

/**
 * `JSON.parse` for large trusted-shape files; the strict parser only finds the place of an error.
 * @throws {WeftError} `bad_file`, naming file, line and column.
 */
export function parseJsonFile(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WeftError(
      "bad_file",
      `${file} is not valid JSON: ${whereAndWhy(text, cause)}; download it again`,
      { cause },
    );
  }
}

function whereAndWhy(text: string, cause: unknown): string {
  try {
    parseStrictJson(text);
  } catch (error) {
    if (error instanceof JsonError) {
      const before = text.slice(0, error.position).split("\n");
      return `line ${before.length}, column ${before.at(-1)!.length + 1}: ${error.message}`;
    }
  }
  return reasonOf(cause);
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 forbids them in strings.
const CONTROL = /[\u0000-\u001f]/;
const SPACE = /[ \t\n\r]*/y;
const WORDS = [
  ["null", null],
  ["true", true],
  ["false", false],
] as const;

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#error("text after the end of the value");
    return value;
  }

  #value(depth: number): JsonValue {
    this.#skipSpace();
    const char = this.#text[this.#at];
    if (depth > MAX_DEPTH) throw this.#error(`nested deeper than ${MAX_DEPTH}`);
    if (char === "{") return this.#object(depth);
    if (char === "[") return this.#array(depth);
    if (char === '"') return this.#string();
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    const number = this.#match(NUMBER);
    if (number === undefined) throw this.#error(`expected a value, found ${this.#here()}`);
    return Number(number);
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = new Map();
    this.#items("}", () => {
      this.#skipSpace();
      const keyAt = this.#at;
      const key = this.#string();
      if (object.has(key)) throw this.#error(`the key ${JSON.stringify(key)} is repeated`, keyAt);
      this.#skipSpace();
      this.#expect(":");
      object.set(key, this.#value(depth + 1));
    });
    return object;
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.#items("]", () => array.push(this.#value(depth + 1)));
    return array;
  }

  /** From the opening bracket to the closing one. */
  #items(close: string, item: () => void): void {
    this.#at++;
    this.#skipSpace();
    if (this.#text[this.#at] !== close) {
      for (;;) {
        item();
        this.#skipSpace();
        if (this.#text[this.#at] !== ",") break;
        this.#at++;
      }
    }
    this.#expect(close);
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at;
    if (text[start] !== '"') throw this.#error(`expected a string, found ${this.#here()}`);
    // A loop, not a pattern: patterns backtrack, and a string may be as long as the file.
    let escaped = false;
    let end = start + 1;
    for (; text[end] !== '"'; end++) {
      if (end >= text.length) throw this.#error("a string without end", start);
      if (text[end] === "\\") {
        escaped = true;
        end++;
      }
    }
    this.#at = end + 1;
    const quoted = text.slice(start, end + 1);
    // Control characters and broken escapes: JSON.parse knows them.
    if (!escaped && !CONTROL.test(quoted)) return quoted.slice(1, -1);
    try {
      return JSON.parse(quoted);
    } catch {
      throw this.#error("a string with a broken escape or a control character", start);
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #skipSpace(): void {
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #expect(char: string): void {
    if (this.#text[this.#at] !== char) {
      throw this.#error(`expected "${char}", found ${this.#here()}`);
    }
    this.#at++;
  }

  #here(): string {
    if (this.#at >= this.#text.length) return "the end of the text";
    return JSON.stringify(this.#text.slice(this.#at, this.#at + 12));
  }

  #error(message: string, position = this.#at): JsonError {
    return new JsonError(message, position);
  }
}
