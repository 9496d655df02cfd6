/**
 * The scheduler's only randomness: a seeded sequence of numbers, so that a schedule can be replayed.
 * Mulberry32 (public domain, T. Ettinger): 32 bits of state pass all that a policy's draws need.
 */
export type Random = () => number;

/** @returns Numbers in [0, 1), the same ones for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
