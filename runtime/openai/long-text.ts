/**
 * Refuses a text that no context holds before all of it has become tokens: that takes seconds for megabytes, in
 * which nothing else goes on. What is not clearly too long is counted exactly, by the engine.
 */
import { WeftError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** Characters that are counted in no time. */
const FEW = 2 ** 16;
/** Characters of a token, above which a text is looked at in pieces first. */
const MANY = 6;
const PIECE = 2 ** 14;
/** Pieces have more tokens than the whole: what a cut parts may be one. */
const MARGIN = 1.25;

/** @param mostTokens What a prompt may have. @throws {WeftError} `request_too_long`. */
export function refuseLongText(
  text: string,
  tokenizer: Pick<Tokenizer, "encode">,
  mostTokens: number,
): void {
  if (text.length <= Math.max(FEW, MANY * mostTokens)) return;
  let numTokens = 0;
  for (let at = 0; at < text.length; at += PIECE) {
    const piece = text.slice(at, at + PIECE);
    numTokens += tokenizer.encode(piece, { addSpecialTokens: false }).length;
    if (numTokens > MARGIN * mostTokens) throw tooLong(`${text.length} characters`, mostTokens);
  }
}

/** A message is a token or more, whatever the template makes of it. @throws {WeftError} `request_too_long`. */
export function refuseManyMessages(messages: unknown, mostTokens: number): void {
  if (Array.isArray(messages) && messages.length > mostTokens) {
    throw tooLong(`${messages.length} messages`, mostTokens);
  }
}

const tooLong = (what: string, mostTokens: number) =>
  new WeftError(
    "request_too_long",
    `prompt of ${what} exceeds the ${mostTokens} tokens that it may have; shorten it`,
  );
