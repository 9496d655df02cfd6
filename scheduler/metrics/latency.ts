/** Times of one request, as its caller sees them; undefined until they are known. Milliseconds. */
import type { RequestRecord } from "./request-record.ts";

type Times = Readonly<Pick<RequestRecord, "arrivalMs" | "startedMs" | "tokenMs">>;

/** First planned − arrival. */
export const queueMs = ({ arrivalMs, startedMs }: Times): number | undefined =>
  startedMs === undefined ? undefined : startedMs - arrivalMs;

/** TTFT: first token visible − arrival. */
export const ttftMs = ({ arrivalMs, tokenMs }: Times): number | undefined =>
  tokenMs.length === 0 ? undefined : tokenMs[0] - arrivalMs;

/** ITL: each gap between consecutive visible tokens. */
export function* gapsMs({ tokenMs }: Times): Generator<number, void, undefined> {
  for (let i = 1; i < tokenMs.length; i++) yield tokenMs[i] - tokenMs[i - 1];
}

/** TPOT: (last token − first token) / (tokens − 1). */
export const tpotMs = ({ tokenMs }: Times): number | undefined =>
  tokenMs.length < 2
    ? undefined
    : (tokenMs[tokenMs.length - 1] - tokenMs[0]) / (tokenMs.length - 1);

/** MTPOT: the longest gap between consecutive visible tokens. */
export function mtpotMs(times: Times): number | undefined {
  let longest: number | undefined;
  for (const gap of gapsMs(times)) if (longest === undefined || gap > longest) longest = gap;
  return longest;
}

/** E2E: last token visible − arrival. */
export const e2eMs = ({ arrivalMs, tokenMs }: Times): number | undefined =>
  tokenMs.length === 0 ? undefined : tokenMs[tokenMs.length - 1] - arrivalMs;
