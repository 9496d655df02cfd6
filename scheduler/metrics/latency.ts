/** Times of one request, as its caller sees them; undefined until they are known. Milliseconds. */
import type { RequestRecord } from "./request-record.ts";

type Times = Readonly<Pick<RequestRecord, "arrivalMs" | "startedMs" | "tokenMs">>;

/** First planned − arrival. */
export const queueMs = ({ arrivalMs, startedMs }: Times): number | undefined =>
  startedMs === undefined ? undefined : startedMs - arrivalMs;

/** TTFT: first token visible − arrival. */
export const ttftMs = ({ arrivalMs, tokenMs }: Times): number | undefined =>
  tokenMs.length === 0 ? undefined : tokenMs[0] - arrivalMs;

/** ITL: gaps between consecutive visible tokens of a request, those of all requests pooled. */
export function gapsMs(requests: readonly Pick<Times, "tokenMs">[]): Float64Array {
  const count = requests.reduce((sum, { tokenMs }) => sum + Math.max(0, tokenMs.length - 1), 0);
  const gaps = new Float64Array(count);
  let next = 0;
  for (const { tokenMs } of requests)
    for (let i = 1; i < tokenMs.length; i++) gaps[next++] = tokenMs[i] - tokenMs[i - 1];
  return gaps;
}

/** TPOT: (last token − first token) / (tokens − 1). */
export const tpotMs = ({ tokenMs }: Times): number | undefined =>
  tokenMs.length < 2
    ? undefined
    : (tokenMs[tokenMs.length - 1] - tokenMs[0]) / (tokenMs.length - 1);

/** MTPOT: the longest gap between consecutive visible tokens. */
export const mtpotMs = (times: Times): number | undefined =>
  times.tokenMs.length < 2 ? undefined : gapsMs([times]).reduce((a, b) => Math.max(a, b));

/** E2E: last token visible − arrival. */
export const e2eMs = ({ arrivalMs, tokenMs }: Times): number | undefined =>
  tokenMs.length === 0 ? undefined : tokenMs[tokenMs.length - 1] - arrivalMs;
