/**
 * Calls between `<tool_call>` and `</tool_call>`, in content or after it. What is between the tags and
 * is no call stays content, tags and all. Whitespace at the tags is theirs.
 */
import type { IncomingText, Reading } from "./incoming-text.ts";
import type { PartWriter } from "./part-writer.ts";

export const TOOL_CALL = { open: "<tool_call>", close: "</tool_call>" } as const;

/** Takes what is behind an opening tag. @returns A call was written. */
export type CallBody = (text: IncomingText, parts: PartWriter) => Reading<boolean>;

/** @param bare Begins a call without the tag, and is part of the call's body. */
export function* readTaggedCalls(
  text: IncomingText,
  parts: PartWriter,
  readBody: CallBody,
  bare?: string,
): Reading {
  const openings = bare ? [TOOL_CALL.open, bare] : [TOOL_CALL.open];
  for (;;) {
    const found = yield* text.until(openings, (piece) => parts.content(piece));
    if (!found) return;
    const tagged = found.marker === TOOL_CALL.open;
    if (!tagged) text.rest = found.marker + text.rest;
    text.record();
    const isCall = yield* readBody(text, parts);
    const taken = text.recorded();
    if (!isCall) {
      parts.content(found.space + (tagged ? found.marker : "") + taken);
      // Else it would be found again.
      if (!tagged && taken === "") parts.content(text.take(found.marker.length));
      continue;
    }
    // Small models close one brace too many.
    const gap = yield* text.run(/[\s}]/);
    if (yield* text.startsWith(TOOL_CALL.close)) {
      text.take(TOOL_CALL.close.length);
      yield* text.spaceBehindCall(parts.hasContent);
    } else if (text.rest !== "") text.rest = gap + text.rest;
  }
}
