/**
 * One call as an object of JSON, `{"name": …, "arguments": {…}}` with its keys in any order. Nothing
 * is said before the call is certain: its name is known and its arguments begin, or the object ends.
 */
import type { IncomingText, Reading } from "./incoming-text.ts";
import { parsed, readJson, readString, skipValue } from "./json-reader.ts";
import type { PartWriter } from "./part-writer.ts";

interface CallObjectOptions {
  /** Ends a call whose brackets were not closed. */
  readonly stop?: string;
  /** Another key shows that this is no call, and so does a lack of arguments: for calls without a marker. */
  readonly knownKeysOnly?: boolean;
}

const NAME = ["name", "function"];
const ARGUMENTS = ["arguments", "parameters"];
const ASIDE = ["type", "id"];

/**
 * Takes an object, which may have whitespace before it.
 * @returns A call was written. Where not, it is none: the caller has what was taken.
 */
export function* readCallObject(
  text: IncomingText,
  parts: PartWriter,
  { stop, knownKeysOnly = false }: CallObjectOptions = {},
): Reading<boolean> {
  let name: string | undefined;
  /** Arguments that wait for a name. */
  let held: string | undefined;
  let begun = false;
  const give = (piece: string) => {
    if (begun) parts.callArguments(piece);
    else held = (held ?? "") + piece;
  };
  const begin = () => {
    if (begun || name === undefined || held === undefined) return;
    begun = true;
    parts.call(name);
    parts.callArguments(held);
  };

  yield* text.space();
  if ((yield* text.peek()) !== "{") return false;
  text.take(1);
  yield* text.space();
  while ((yield* text.peek()) !== "}") {
    const key = yield* readString(text);
    if (key === undefined) return begun;
    yield* text.space();
    if ((yield* text.peek()) !== ":") return begun;
    text.take(1);
    yield* text.space();
    if (NAME.includes(key)) {
      if (name !== undefined) return begun;
      name = yield* readString(text);
      if (!name) return false;
      begin();
    } else if (ARGUMENTS.includes(key)) {
      if (held !== undefined) return begun;
      if ((yield* text.peek()) === "{") {
        give("");
        begin();
        if ((yield* readJson(text, give, stop)) !== "whole") return begun;
      } else {
        const whole = yield* indirectArguments(text);
        if (whole === undefined) return false;
        give(whole);
        begin();
      }
    } else if (knownKeysOnly && !ASIDE.includes(key)) {
      return begun;
    } else if (!(yield* skipValue(text))) return begun;
    yield* text.space();
    if ((yield* text.peek()) !== ",") break;
    text.take(1);
    yield* text.space();
  }
  if ((yield* text.peek()) !== "}") return begun;
  text.take(1);
  if (!knownKeysOnly) held ??= "{}";
  begin();
  return begun;
}

/** Arguments as a string that holds an object's JSON, or null for none. */
function* indirectArguments(text: IncomingText): Reading<string | undefined> {
  if ((yield* text.peek()) === '"') {
    const json = yield* readString(text);
    return json !== undefined && isObject(parsed(json)) ? json : undefined;
  }
  return (yield* text.run(/\w/)) === "null" ? "{}" : undefined;
}

const isObject = (value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
