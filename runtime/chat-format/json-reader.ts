/**
 * Where JSON ends in text that comes in pieces. Judges brackets and strings alone: whether what is
 * between them is JSON is for whoever parses it.
 */
import type { IncomingText, Reading } from "./incoming-text.ts";

/** `whole`: the value is closed. `stopped`: the marker came first. `ended`: the text did. */
export type JsonOutcome = "whole" | "stopped" | "ended";

/**
 * Takes an object, array or string, which begins here, and gives it on as it comes.
 * @param stop Ends a value that was not closed, unless it stands in a string.
 */
export function* readJson(
  text: IncomingText,
  give: (piece: string) => void,
  stop?: string,
): Reading<JsonOutcome> {
  let depth = 0;
  let inString = false;
  let escaped = false;
  for (;;) {
    let at = 0;
    let outcome: JsonOutcome | undefined;
    for (; at < text.rest.length && !outcome; at++) {
      const char = text.rest[at];
      if (inString) {
        if (escaped) escaped = false;
        else if (char === "\\") escaped = true;
        else if (char === '"') inString = false;
      } else {
        const ahead = stop && char === stop[0] ? text.rest.slice(at, at + stop.length) : "";
        if (ahead !== "" && ahead === stop) outcome = "stopped";
        if (outcome || (ahead !== "" && !text.ended && stop?.startsWith(ahead))) break;
        if (char === '"') inString = true;
        else if (char === "{" || char === "[") depth++;
        else if (char === "}" || char === "]") depth--;
      }
      if (!inString && depth <= 0) outcome = "whole";
    }
    give(text.take(at));
    if (outcome) return outcome;
    if (text.ended) return "ended";
    yield;
  }
}

/** A string in quotes, decoded; undefined where there is none, or a broken one. */
export function* readString(text: IncomingText): Reading<string | undefined> {
  if ((yield* text.peek()) !== '"') return undefined;
  let literal = "";
  const outcome = yield* readJson(text, (piece) => {
    literal += piece;
  });
  const value = outcome === "whole" ? parsed(literal) : undefined;
  return typeof value === "string" ? value : undefined;
}

/** Any value, passed over. */
export function* skipValue(text: IncomingText): Reading<boolean> {
  if (/["{[]/.test(yield* text.peek())) return (yield* readJson(text, () => {})) === "whole";
  return (yield* text.run(/[\w.+-]/)) !== "";
}

export function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
