/** Token ids of simulated prompts: equal where a trace says that prompts are equal, nowhere else. */
import type { TraceRequest } from "./trace.ts";

/** Tokens that one of a trace's prefix hashes stands for. */
const TOKENS_PER_HASH = 512;
/** Ids of one request's own tokens are its own; hashes have the ids below them. */
const IDS_PER_REQUEST = 2 ** 20;
const FIRST_OWN_ID = 2 ** 40;

export const ownId = (request: number, position: number): number =>
  FIRST_OWN_ID + request * IDS_PER_REQUEST + position;

/**
 * @param before Prompt and answer of the request that this one comes after, which it begins with.
 * @returns Undefined for a request whose prompt nothing is known of: it shares nothing.
 */
export function promptIds(
  index: number,
  { numPromptTokens, prefixHashes = [], session }: TraceRequest,
  before: readonly number[] = [],
): number[] | undefined {
  if (prefixHashes.length === 0 && session === undefined) return undefined;
  return Array.from({ length: numPromptTokens }, (_, position) => {
    if (position < before.length) return before[position];
    const hash = prefixHashes.at(Math.floor(position / TOKENS_PER_HASH));
    if (hash === undefined) return ownId(index, position);
    return hash * TOKENS_PER_HASH + (position % TOKENS_PER_HASH);
  });
}
