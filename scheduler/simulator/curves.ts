/** What a replay looked like, in few enough numbers to draw. */
import { gapsMs, ttftMs } from "../metrics/latency.ts";
import type { Replay } from "./replay.ts";

export interface Curves {
  /** Length of a bin of the two below, which begin at time 0. */
  readonly binMs: number;
  /** Requests that wait, mean of a bin. */
  readonly waiting: readonly number[];
  /** Share of the KV cache that holds tokens, mean of a bin. */
  readonly kvShare: readonly number[];
  /** Value i is what a share of i / (length − 1) of the requests do not exceed. */
  readonly ttftMs: readonly number[];
  /** The same of gaps between tokens. */
  readonly itlMs: readonly number[];
}

const NUM_BINS = 240;
const NUM_QUANTILES = 201;

export function curvesOf(replay: Replay): Curves {
  const { requests, timeline, makespanMs } = replay;
  const served = requests.filter(({ tokenMs }) => tokenMs.length > 0);
  const binMs = makespanMs / NUM_BINS;
  return {
    binMs,
    waiting: binned(timeline.ms, timeline.waiting, binMs),
    kvShare: binned(timeline.ms, timeline.kvShare, binMs),
    ttftMs: evenQuantiles(served.map((record) => ttftMs(record)!)),
    itlMs: evenQuantiles(gapsMs(served)),
  };
}

/** Each value holds until the next one's time; a bin without any keeps the last. */
function binned(ms: readonly number[], values: readonly number[], binMs: number): number[] {
  const sums = new Float64Array(NUM_BINS);
  const counts = new Float64Array(NUM_BINS);
  ms.forEach((at, i) => {
    const bin = Math.min(NUM_BINS - 1, Math.floor(at / binMs));
    sums[bin] += values[i];
    counts[bin] += 1;
  });
  let last = 0;
  return Array.from(sums, (sum, bin) => {
    if (counts[bin] > 0) last = sum / counts[bin];
    return last;
  });
}

function evenQuantiles(values: ArrayLike<number>): number[] {
  const ascending = Float64Array.from(values).sort();
  if (ascending.length === 0) return [];
  return Array.from(
    { length: NUM_QUANTILES },
    (_, i) => ascending[Math.round((i / (NUM_QUANTILES - 1)) * (ascending.length - 1))],
  );
}
