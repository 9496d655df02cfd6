/** Waiting times of the requests of a replay, as their caller sees them. Refused ones have none. */
import type { Replay, ReplayedRequest } from "./replay.ts";

/** From a request's arrival to its first token. */
export const firstTokenMs = ({ requests }: Replay): Float64Array =>
  Float64Array.from(requests.filter(isServed), ttftOf);

/** Between the tokens of one request, of all requests together. */
export function tokenGapsMs({ requests }: Replay): Float64Array {
  const served = requests.filter(isServed);
  const numGaps = served.reduce((sum, { tokenMs }) => sum + tokenMs.length - 1, 0);
  const gaps = new Float64Array(numGaps);
  let next = 0;
  for (const { tokenMs } of served)
    for (let i = 1; i < tokenMs.length; i++) gaps[next++] = tokenMs[i] - tokenMs[i - 1];
  return gaps;
}

const MOST_TTFT_MS = 10_000;
const MOST_GAP_MS = 1500;

/** First token within 10 s and no gap above 1.5 s: the Past-Future harness' service level. */
export function meetsService(request: ReplayedRequest): boolean {
  if (!isServed(request) || request.isSuperseded || ttftOf(request) > MOST_TTFT_MS) return false;
  const { tokenMs } = request;
  return tokenMs.every((ms, i) => i === 0 || ms - tokenMs[i - 1] <= MOST_GAP_MS);
}

const isServed = ({ tokenMs }: ReplayedRequest): boolean => tokenMs.length > 0;

const ttftOf = ({ request, tokenMs }: ReplayedRequest): number => tokenMs[0] - request.arrivalMs;
