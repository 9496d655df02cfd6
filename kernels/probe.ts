/** Seeded fillers for known-answer inputs. Small enough to ship: the load-time self-test uses them. */

/** mulberry32: uniform in [0, 1), same sequence on every platform. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Standard normal values (Box-Muller). */
export function normal(count: number, random: () => number, scale = 1): Float32Array {
  return Float32Array.from(
    { length: count },
    () => scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

export function uniform(
  count: number,
  low: number,
  high: number,
  random: () => number,
): Float32Array {
  return Float32Array.from({ length: count }, () => low + (high - low) * random());
}
