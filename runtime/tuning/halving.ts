/**
 * Successive halving: all candidates are sampled a little, the faster half more, until two are left.
 * The first is the standard: it stays to the end, since the winner must beat it. Knows no kernel.
 */

/** One sample of a candidate in microseconds; undefined when there is no time left. */
export type TakeSample<C> = (candidate: C) => Promise<number | undefined>;

export interface Timed<C> {
  readonly candidate: C;
  readonly us: number;
}

/** Samples of those that are left at the end. */
const FINAL_SAMPLES = 7;
/** Something else used the GPU meanwhile. */
const OUTLIER = 3;
/** Less may be chance. */
const LEAST_GAIN = 0.03;

/**
 * @param candidates The standard first.
 * @returns The standard and the winner, which may be it; undefined when time ran out before.
 */
export async function fastest<C>(
  candidates: readonly C[],
  takeSample: TakeSample<C>,
): Promise<{ readonly standard: Timed<C>; readonly winner: Timed<C> } | undefined> {
  const samples = new Map<C, number[]>(candidates.map((candidate) => [candidate, []]));
  const typical = (candidate: C) => typicalOf(samples.get(candidate)!);
  let left = [...candidates];
  for (let rounds = 1; ; rounds *= 2) {
    const isLast = left.length <= 2;
    const wanted = isLast ? FINAL_SAMPLES : rounds;
    // In turn, so that a clock that slows down does it to all.
    for (let round = 0; round < wanted; round++) {
      for (const candidate of left) {
        if (isLast && samples.get(candidate)!.length >= FINAL_SAMPLES) continue;
        const us = await takeSample(candidate);
        if (us === undefined) return undefined;
        samples.get(candidate)!.push(us);
      }
    }
    if (isLast) break;
    const [standard, ...others] = left;
    others.sort((a, b) => typical(a) - typical(b));
    left = [standard, ...others.slice(0, Math.max(1, Math.ceil(left.length / 2) - 1))];
  }
  const timed = left.map((candidate) => ({ candidate, us: typical(candidate) }));
  const [standard, challenger = standard] = timed;
  const isFaster = challenger.us < standard.us * (1 - LEAST_GAIN);
  return { standard, winner: isFaster ? challenger : standard };
}

/** The median of those that are no outliers. */
function typicalOf(samples: readonly number[]): number {
  const least = Math.min(...samples);
  const sorted = samples.filter((us) => us <= OUTLIER * least).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
