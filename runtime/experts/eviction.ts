/**
 * Which expert gives up its slot when another needs one: the one of the lowest worth. Policies see uses
 * alone, and no policy changes a token.
 */

export const evictions = ["decayed", "lfu", "lru"] as const;
export type Eviction = (typeof evictions)[number];

/** Passes through the model after which a use counts half. */
const HALF_LIFE = 64;

export interface Worth {
  /** @param pass Passes through the model so far: what age is counted in. */
  used(key: number, pass: number): void;
  of(key: number, pass: number): number;
}

const lru = (): Worth => {
  const last = new Map<number, number>();
  let uses = 0;
  return {
    used: (key) => last.set(key, ++uses),
    of: (key) => last.get(key) ?? 0,
  };
};

const lfu = (): Worth => {
  const counts = new Map<number, number>();
  return {
    used: (key) => counts.set(key, (counts.get(key) ?? 0) + 1),
    of: (key) => counts.get(key) ?? 0,
  };
};

/** Often and lately: counts that halve with age, so that what was once hot makes room. */
const decayed = (): Worth => {
  const scores = new Map<number, { score: number; pass: number }>();
  const of = (key: number, pass: number) => {
    const known = scores.get(key);
    return known === undefined ? 0 : known.score * 2 ** ((known.pass - pass) / HALF_LIFE);
  };
  return {
    used: (key, pass) => scores.set(key, { score: of(key, pass) + 1, pass }),
    of,
  };
};

export const worths: Readonly<Record<Eviction, () => Worth>> = { decayed, lfu, lru };
